package spec

import (
	"net"
	"net/url"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// GitSetting is one key of git's global configuration in a bottle.
type GitSetting struct {
	Key string
	// Values are all that the key has; none of them is empty.
	Values []string
	// Part is the live part that it belongs to.
	Part string
}

// GitConfig lists what a spec sets in the global configuration of the agent's
// user, the same for every driver. A key that was set once and is not in the
// list any more is unset.
func GitConfig(s *Spec) []GitSetting {
	var out []GitSetting
	for _, f := range []struct{ key, value string }{
		{"user.name", s.Live.GitUser.Name}, {"user.email", s.Live.GitUser.Email},
	} {
		if f.value != "" {
			out = append(out, GitSetting{Key: f.key, Values: []string{f.value}, Part: PartIdentity})
		}
	}
	for _, r := range s.Live.Remotes {
		out = append(out, GitSetting{
			Key:    "url." + egress.GitGate + "/" + r.Name + ".git.insteadOf",
			Values: spellings(r.Upstream), Part: PartGit,
		})
	}
	return out
}

// spellings are the ways in which git is told of one upstream: the URL itself,
// the same with the port that it means, and ssh's short form, which knows no
// port. Hosts of repositories read a path that begins at the root and one that
// does not as the same.
func spellings(upstream string) []string {
	out := []string{upstream}
	u, err := url.Parse(upstream)
	if err != nil || u.Host == "" {
		return out
	}
	port := map[string]string{"ssh": "22", "https": "443"}[u.Scheme]
	if u.Port() != "" && u.Port() != port {
		return out
	}
	plain, full := *u, *u
	full.Host = net.JoinHostPort(u.Hostname(), port)
	plain.Host = strings.TrimSuffix(full.Host, ":"+port)
	for _, x := range []url.URL{plain, full} {
		if text := x.String(); text != upstream {
			out = append(out, text)
		}
	}
	if u.Scheme != "ssh" {
		return out
	}
	short := plain.Host + ":"
	if u.User != nil {
		short = u.User.Username() + "@" + short
	}
	out = append(out, short+strings.TrimPrefix(u.Path, "/"))
	if !strings.HasPrefix(u.Path, "/~") { // there it is somebody's home, not the root
		out = append(out, short+u.Path)
	}
	return out
}
