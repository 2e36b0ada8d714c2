package manifest

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// scpForm is git's short form user@host:path.
var scpForm = regexp.MustCompile(`^[^/]+@[^/]+:`)

func (f *file) decodeRemotes(n *node) []Remote {
	var remotes []Remote
	for _, entry := range n.entries() {
		if strings.Trim(entry.key, ".") == "" {
			f.failKey(entry, "", "%q is not a valid name in git.remotes", entry.key)
		}
		r := Remote{
			Name: entry.key, Upstream: entry.get("upstream").str(),
			KnownHostKey: entry.get("known_host_key").str(), TokenRef: f.tokenRef(entry.get("token_ref")),
			From: f.pos(entry),
		}
		if identity := entry.get("identity_file").str(); identity != "" {
			r.IdentityFile = f.hostPath(identity)
		}
		if r.Upstream != "" {
			f.checkUpstream(entry, entry.get("upstream"))
		}
		remotes = append(remotes, r)
	}
	slices.SortFunc(remotes, func(a, b Remote) int { return cmp.Compare(a.Name, b.Name) })
	return remotes
}

// checkUpstream never prints the URL: it may hold a password.
func (f *file) checkUpstream(remote, n *node) {
	const forms = "write ssh://USER@HOST/PATH or https://HOST/PATH"
	if scpForm.MatchString(n.text) && !strings.Contains(n.text, "://") {
		f.fail(n, "write ssh://USER@HOST/PATH instead of USER@HOST:PATH", "%s must be a URL", n.path)
		return
	}
	u, err := url.Parse(n.text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		f.fail(n, forms, "%s is not a URL of a repository", n.path)
		return
	}
	if host, err := egress.CanonicalHost(u.Hostname()); err != nil || host != u.Hostname() {
		f.fail(n, forms, "%s has no canonical host name", n.path)
		return
	}
	if strings.Trim(u.Path, "/") == "" {
		f.fail(n, forms, "%s has no path", n.path)
		return
	}
	switch u.Scheme {
	case "ssh":
		_, password := u.User.Password()
		if u.User.Username() == "" || password {
			f.fail(n, "write ssh://USER@HOST/PATH, without a password", "%s needs a user alone before the host", n.path)
		}
		f.needs(remote, "an ssh upstream", "identity_file", "known_host_key")
	case "https":
		if u.User != nil {
			f.fail(n, "name the credential by token_ref", "%s must not hold a credential", n.path)
		}
		f.needs(remote, "an https upstream", "token_ref")
	default:
		f.fail(n, forms, "%s must begin with ssh:// or https://", n.path)
	}
}

// needs reports all that one kind of upstream lacks, in one line.
func (f *file) needs(remote *node, who string, keys ...string) {
	var missing []string
	for _, key := range keys {
		if remote.get(key) == nil {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		f.failKey(remote, "", "%s: %s needs %s", remote.path, who, strings.Join(missing, " and "))
	}
}
