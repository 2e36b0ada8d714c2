package manifest

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// slip is a mistake in a value that is not shown: it may be, or hold, a secret.
type slip struct {
	message string // after the value's path
	hint    string
}

func (s slip) Error() string { return s.message }

func (f *file) failSlip(n *node, err error) {
	s, _ := err.(slip) //nolint:errorlint // made right here
	f.fail(n, s.hint, "%s %s", n.path, s.message)
}

const maxUpstream = 1024

var (
	// scpForm is git's short form user@host:path.
	scpForm = regexp.MustCompile(`^[^/]+@[^/]+:`)
	// sshUser begins with nothing that a program takes for an option.
	sshUser = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
	// plainPath has nothing that a shell, or ssh's configuration, reads.
	plainPath = regexp.MustCompile(`^(?:[A-Za-z0-9._~+@:,=/-]|%[2-7][0-9A-Fa-f])+$`)
)

// parseUpstream judges a URL that git and ssh will be given, and returns it in
// its canonical form. It never says the URL: it may hold a password.
func parseUpstream(text string) (*url.URL, error) {
	const forms = "write ssh://USER@HOST/PATH or https://HOST/PATH"
	if scpForm.MatchString(text) && !strings.Contains(text, "://") {
		return nil, slip{"must be a URL", "write ssh://USER@HOST/PATH instead of USER@HOST:PATH"}
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") {
		return nil, slip{"is not a URL of a repository", forms}
	}
	standard, known := map[string]string{"ssh": "22", "https": "443"}[u.Scheme]
	switch {
	case !known:
		return nil, slip{"must begin with ssh:// or https://", forms}
	case u.Scheme == "https" && u.User != nil:
		return nil, slip{"must not hold a credential", "name the credential by token_ref"}
	case u.Scheme == "ssh" && !userAlone(u.User):
		return nil, slip{"needs a user alone before the host", "write ssh://USER@HOST/PATH, without a password"}
	}
	host, err := egress.CanonicalHost(u.Hostname())
	if err != nil || host != u.Hostname() || strings.HasPrefix(host, "-") {
		return nil, slip{"has no canonical host name", forms}
	}
	if host == egress.LocalHost || strings.HasSuffix(host, "."+egress.LocalHost) {
		return nil, slip{"is on a host of bb itself", ""}
	}
	port := u.Port()
	if n, err := strconv.Atoi(port); port != "" && (err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port) || strings.HasSuffix(u.Host, ":") {
		return nil, slip{"has a port that is not between 1 and 65535", forms}
	}
	if err := checkPath(u.Path); err != nil {
		return nil, err
	}
	if !plainPath.MatchString(u.EscapedPath()) {
		return nil, slip{"has a character in its path that is not allowed", "letters, digits, escapes such as %20, and ._~+@:,=/-"}
	}
	if len(text) > maxUpstream {
		return nil, slip{"is too long", ""}
	}
	if u.String() != text {
		return nil, slip{"is not in its canonical form", "write " + u.String()}
	}
	if port == standard {
		u.Host = strings.TrimSuffix(net.JoinHostPort(host, port), ":"+port)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// userAlone: a password belongs nowhere, and a user that needs escapes or begins
// with a dash could be taken for something else on the way to ssh.
func userAlone(user *url.Userinfo) bool {
	_, password := user.Password()
	return user != nil && !password && sshUser.MatchString(user.Username())
}

// checkPath judges a path without its escapes, as the other side will see it.
func checkPath(path string) error {
	if strings.Trim(path, "/") == "" {
		return slip{"has no path", "write ssh://USER@HOST/PATH or https://HOST/PATH"}
	}
	if strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return slip{"has a control character in its path", ""}
	}
	parts := strings.Split(strings.TrimSuffix(path[1:], "/"), "/")
	for _, part := range parts {
		switch {
		case part == "" || part == "." || part == "..":
			return slip{`has an empty part, "." or ".." in its path`, "write the path straight"}
		case strings.HasPrefix(part, "-"):
			return slip{"has a part that begins with a dash in its path", "a program could take it for an option"}
		}
	}
	return nil
}
