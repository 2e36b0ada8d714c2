package egress

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Bounds of a document's remotes.
const (
	maxRemotes  = 64
	maxUpstream = 1024
	maxPatterns = 256
	maxPattern  = 512
)

// What a remote is made of reaches arguments of git and ssh: nothing in it
// begins with a dash, and no byte means anything to a shell or to ssh's
// configuration (% is judged apart).
var (
	remoteName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)
	remoteUser   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
	upstreamPath = regexp.MustCompile(`^/(?:[A-Za-z0-9._~+@:,=/-]|%[2-7][0-9A-Fa-f])+$`)
	gitSlot      = regexp.MustCompile(`^` + SlotGit + `[0-9]{1,4}$`)
	errHostKey   = errors.New(`host_key is not "TYPE BASE64"`)
)

// CheckRemotes judges a list that a git gate is about to obey. Its errors name
// a remote and quote no more of it.
func CheckRemotes(remotes []Remote) error {
	if len(remotes) > maxRemotes {
		return fmt.Errorf("more than %d remotes", maxRemotes)
	}
	seen := map[string]bool{}
	for i, r := range remotes {
		if !remoteName.MatchString(r.Name) {
			return fmt.Errorf("remote %d: the name is not of letters, digits, dots, underscores and dashes", i)
		}
		if seen[r.Name] {
			return fmt.Errorf("remote %s is there twice", r.Name)
		}
		seen[r.Name] = true
		if err := r.check(); err != nil {
			return fmt.Errorf("remote %s: %w", r.Name, err)
		}
	}
	return nil
}

func (r Remote) check() error {
	if err := checkUpstream(r.Upstream); err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	switch ssh := strings.HasPrefix(r.Upstream, "ssh://"); {
	case !ssh && r.HostKey != "":
		return errors.New("host_key is for ssh upstreams")
	case ssh && r.HostKey == "":
		return errors.New("an ssh upstream without host_key")
	case ssh:
		if err := checkPublicKey(r.HostKey, errHostKey); err != nil {
			return err
		}
	}
	if !gitSlot.MatchString(r.Slot) {
		return errors.New("its slot is not named " + SlotGit + "<n>")
	}
	for what, patterns := range map[string][]string{"allow": r.Push.Allow, "protect": r.Push.Protect} {
		if len(patterns) > maxPatterns {
			return fmt.Errorf("push.%s: more than %d patterns", what, maxPatterns)
		}
		if slices.ContainsFunc(patterns, func(p string) bool { return len(p) > maxPattern }) {
			return fmt.Errorf("push.%s: a pattern is longer than %d bytes", what, maxPattern)
		}
	}
	return CheckPush(r.Push)
}

// checkUpstream accepts ssh://USER@HOST[:PORT]/PATH and https://HOST[:PORT]/PATH
// in one spelling each.
func checkUpstream(s string) error {
	if len(s) > maxUpstream {
		return errors.New("too long")
	}
	rest, ssh := strings.CutPrefix(s, "ssh://")
	standard := 22
	if !ssh {
		var ok bool
		if rest, ok = strings.CutPrefix(s, "https://"); !ok {
			return errors.New("neither ssh:// nor https://")
		}
		standard = 443
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return errors.New("no path")
	}
	authority, path := rest[:slash], rest[slash:]
	if ssh {
		user, after, ok := strings.Cut(authority, "@")
		if !ok || !remoteUser.MatchString(user) {
			return errors.New("no user, or not one of letters, digits, dots, underscores and dashes")
		}
		authority = after
	}
	host, port, err := SplitAuthority(authority, standard)
	if err != nil {
		return errors.New("malformed host or port")
	}
	if canonical := Authority(host, port, standard); authority != canonical && authority != Authority(host, port, 0) {
		return errors.New("the host is not in canonical form")
	}
	if host == LocalHost || strings.HasSuffix(host, "."+LocalHost) {
		return errors.New("a host of bb's own")
	}
	if !upstreamPath.MatchString(path) || strings.Contains(strings.ToLower(path), "%7f") {
		return errors.New("the path has a character that is not allowed")
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == ".." || part == "." || strings.HasPrefix(part, "-") {
			return errors.New("a part of the path is . or .., or begins with a dash")
		}
	}
	return nil
}
