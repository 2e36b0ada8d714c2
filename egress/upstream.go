package egress

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

const maxUpstream = 1024

// What an upstream is made of reaches arguments of git and ssh: nothing in it
// begins with a dash, and no byte means anything to a shell or to ssh's
// configuration (% is judged apart).
var (
	remoteUser   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
	upstreamPath = regexp.MustCompile(`^/(?:[A-Za-z0-9._~+@:,=/-]|%[2-7][0-9A-Fa-f])+$`)
)

// Upstream is where a repository is.
type Upstream struct {
	Scheme string // ssh or https
	User   string // of ssh
	Host   string // canonical, an IPv6 address without brackets
	Port   int
	Path   string // as in the URL, with its escapes
}

// ParseUpstream takes apart ssh://USER@HOST[:PORT]/PATH and
// https://HOST[:PORT]/PATH, in one spelling each: all that a git gate hands to
// git and ssh. Its errors quote nothing.
func ParseUpstream(s string) (Upstream, error) {
	if len(s) > maxUpstream {
		return Upstream{}, errors.New("too long")
	}
	scheme, rest, ok := strings.Cut(s, "://")
	standard := map[string]int{"ssh": 22, "https": 443}[scheme]
	if !ok || standard == 0 {
		return Upstream{}, errors.New("neither ssh:// nor https://")
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return Upstream{}, errors.New("no path")
	}
	u := Upstream{Scheme: scheme, Path: rest[slash:]}
	authority := rest[:slash]
	if scheme == "ssh" {
		user, after, ok := strings.Cut(authority, "@")
		if !ok || !remoteUser.MatchString(user) {
			return Upstream{}, errors.New("no user, or not one of letters, digits, dots, underscores and dashes")
		}
		u.User, authority = user, after
	}
	var err error
	if u.Host, u.Port, err = SplitAuthority(authority, standard); err != nil {
		return Upstream{}, errors.New("malformed host or port")
	}
	if authority != Authority(u.Host, u.Port, standard) && authority != Authority(u.Host, u.Port, 0) || strings.HasPrefix(u.Host, "-") {
		return Upstream{}, errors.New("the host is not in canonical form")
	}
	if u.Host == LocalHost || strings.HasSuffix(u.Host, "."+LocalHost) {
		return Upstream{}, errors.New("a host of bb's own")
	}
	return u, checkUpstreamPath(u.Path)
}

// checkUpstreamPath judges a path also without its escapes, as git hands it to
// the other side.
func checkUpstreamPath(path string) error {
	plain, err := url.PathUnescape(path)
	if err != nil || !upstreamPath.MatchString(path) || strings.Contains(plain, "\x7f") {
		return errors.New("the path has a character that is not allowed")
	}
	if strings.Trim(plain, "/") == "" {
		return errors.New("no path")
	}
	for part := range strings.SplitSeq(plain, "/") {
		if part == ".." || part == "." || strings.HasPrefix(part, "-") {
			return errors.New("a part of the path is . or .., or begins with a dash")
		}
	}
	return nil
}
