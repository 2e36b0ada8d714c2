package egress

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Bounds of a document's remotes.
const (
	maxRemotes  = 64
	maxPatterns = 256
	maxPattern  = 512
)

var (
	remoteName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
	gitSlot    = regexp.MustCompile(`^` + SlotGit + `[0-9]{1,4}$`)
	errHostKey = errors.New(`host_key is not "TYPE BASE64"`)
)

// IsRemoteName tells whether a remote can have a name: up to 64 letters, digits,
// dots, underscores and dashes, the first of them no dot and no dash.
func IsRemoteName(s string) bool { return remoteName.MatchString(s) }

// CheckRemotes judges a list that a git gate is about to obey. Its errors name
// a remote and quote no more of it.
func CheckRemotes(remotes []Remote) error {
	if len(remotes) > maxRemotes {
		return fmt.Errorf("more than %d remotes", maxRemotes)
	}
	seen := map[string]bool{}
	for i, r := range remotes {
		if !IsRemoteName(r.Name) {
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
	u, err := ParseUpstream(r.Upstream)
	if err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	switch ssh := u.Scheme == "ssh"; {
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
