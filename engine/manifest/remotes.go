package manifest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// Bounds of remotes; a sidecar has the same.
const (
	maxRemoteName = 64
	maxRemotes    = 64
	maxPatterns   = 256
)

func (f *file) decodeRemotes(n *node) []Remote {
	var remotes []Remote
	first := map[string]string{}
	if len(n.entries()) > maxRemotes {
		f.failKey(n, "", "%s has more than %d remotes", n.path, maxRemotes)
	}
	for _, entry := range n.entries() {
		r := f.decodeRemote(entry)
		if other, taken := first[r.Upstream]; taken && r.Upstream != "" {
			f.fail(entry.get("upstream"), "git tells them apart by their upstream alone: keep one",
				"%s.upstream is that of %s", entry.path, other)
		} else {
			first[r.Upstream] = entry.path
		}
		remotes = append(remotes, r)
	}
	slices.SortFunc(remotes, func(a, b Remote) int { return cmp.Compare(a.Name, b.Name) })
	return remotes
}

func (f *file) decodeRemote(n *node) Remote {
	f.remoteName(n)
	r := Remote{Name: n.key, TokenRef: f.tokenRef(n.get("token_ref")), Push: f.decodePush(n), From: f.pos(n)}
	r.IdentityFile = f.identityFile(n.get("identity_file"))
	at := n.get("upstream")
	if at.str() == "" {
		return r
	}
	u, err := parseUpstream(at.text)
	if err != nil {
		f.failSlip(at, err)
		return r
	}
	r.Upstream = u.String()
	if u.Scheme == "https" {
		f.needs(n, "an https upstream", "", "token_ref")
		f.idle(n, "an https upstream", "identity_file", "known_host_key")
		return r
	}
	f.needs(n, "an ssh upstream", keyscan(u), "identity_file", "known_host_key")
	f.idle(n, "an ssh upstream", "token_ref")
	if key := n.get("known_host_key"); key.str() != "" {
		if r.KnownHostKey, err = parseHostKey(key.text, u); err != nil {
			f.failSlip(key, err)
		}
	}
	return r
}

// remoteName judges what the schema's pattern leaves: the name is a path of
// the gate, which adds ".git".
func (f *file) remoteName(n *node) {
	stem, suffixed := strings.CutSuffix(n.key, ".git")
	switch {
	case strings.Trim(n.key, ".") == "":
		f.failKey(n, "", "%q is not a valid name in git.remotes", n.key)
	case n.key[0] == '.' || n.key[0] == '-':
		f.failKey(n, "", "%q is not a valid name in git.remotes: it begins with a dot or a dash", safeKey(n.key))
	case suffixed:
		f.failKey(n, "write "+stem, "%q is not a valid name in git.remotes: it ends in .git", safeKey(n.key))
	case len(n.key) > maxRemoteName:
		f.failKey(n, "", "%q is not a valid name in git.remotes: at most %d characters", safeKey(n.key), maxRemoteName)
	}
}

// identityFile is a reference to a key that only the host reads: "~/" is left
// in it, so that it reads as it was written.
func (f *file) identityFile(n *node) string {
	path := n.str()
	switch {
	case path == "":
		return ""
	case isPrivateKey(path):
		f.fail(n, "keep it in a file of yours alone and name that", "%s must be the path of a private key, never the key itself", n.path)
		return ""
	case strings.HasSuffix(path, ".pub"):
		f.fail(n, "name the file beside it, without .pub", "%s is a public key", n.path)
		return ""
	case strings.HasPrefix(path, "~/"):
		return path
	}
	return f.hostPath(path)
}

// needs reports all that one kind of upstream lacks, in one line.
func (f *file) needs(remote *node, who, hint string, keys ...string) {
	var missing []string
	for _, key := range keys {
		if remote.get(key) == nil {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return
	}
	if missing[len(missing)-1] != keys[len(keys)-1] {
		hint = "" // it is about the last
	}
	f.failKey(remote, hint, "%s: %s needs %s", remote.path, who, strings.Join(missing, " and "))
}

// idle reports what one kind of upstream has no use for: it would look like a
// safeguard that it is not.
func (f *file) idle(remote *node, who string, keys ...string) {
	for _, key := range keys {
		if n := remote.get(key); n != nil {
			f.failKey(n, "remove it", "%s has no meaning for %s", n.path, who)
		}
	}
}

// decodePush writes the rules out; nothing declared is the default.
func (f *file) decodePush(remote *node) egress.Push {
	n := remote.get("push")
	p := egress.Push{Protect: egress.DefaultProtect}
	if !n.is(isMap) {
		p.Off = n.is(isBool) && !n.isTrue()
		return p
	}
	p.Force, p.Delete, p.Tags = n.get("force").isTrue(), n.get("delete").isTrue(), n.get("tags").isTrue()
	allow := n.get("allow")
	if allow.is(isList) && len(allow.items) == 0 {
		f.fail(allow, "write push: false for no pushes, or remove the key for the default", "%s must not be empty", allow.path)
	}
	for _, item := range allow.each() {
		text := item.str()
		p.Allow = append(p.Allow, text)
		f.checkPush(remote, item, egress.Push{Allow: []string{text}, Tags: strings.HasPrefix(text, "refs/tags/")})
	}
	if protect := n.get("protect"); protect.is(isList) {
		p.Protect = nil // also by an empty list
		for _, item := range protect.items {
			p.Protect = append(p.Protect, item.str())
			f.checkPush(remote, item, egress.Push{Protect: []string{item.str()}})
		}
	}
	for _, list := range []*node{allow, n.get("protect")} {
		if len(list.each()) > maxPatterns {
			f.fail(list, "", "%s has more than %d patterns", list.path, maxPatterns)
		}
	}
	if !f.hasProblemBelow(n) { // then it is between them
		f.checkPush(remote, n, p)
	}
	return p
}

// checkPush reports at a value what is wrong with rules. A pattern that is no
// text, or empty, is the schema's.
func (f *file) checkPush(remote, at *node, p egress.Push) {
	if slices.Contains(p.Allow, "") || slices.Contains(p.Protect, "") {
		return
	}
	if err := egress.CheckPush(p); err != nil {
		f.fail(at, "", "%s: %v", remote.path, err)
	}
}
