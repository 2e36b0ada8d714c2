package upstream

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// target is where a repository is.
type target struct {
	scheme string // ssh or https
	host   string // in lower case, without brackets
	port   int
	where  string // HOST:PORT, for people
	user   string // of ssh
	parent bool   // reached through a proxy
}

var errURL = errors.New("the upstream is no ssh://USER@HOST[:PORT]/PATH and no https://HOST[:PORT]/PATH")

// parse takes apart what a document says. It was judged before: here it is
// about what git, ssh and a shell would make of it.
func parse(raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Opaque != "" || u.RawQuery != "" || u.Fragment != "" || len(u.Path) < 2 {
		return target{}, errURL
	}
	for _, r := range raw {
		if r <= ' ' || r == 0x7f {
			return target{}, errURL
		}
	}
	t := target{scheme: u.Scheme, host: strings.ToLower(u.Hostname()), user: u.User.Username()}
	switch _, secret := u.User.Password(); {
	case secret, t.scheme == "https" && u.User != nil, strings.HasPrefix(t.user, "-"):
		return target{}, errURL
	case t.scheme == "ssh":
		t.port = 22
	case t.scheme == "https":
		t.port = 443
	default:
		return target{}, errURL
	}
	if p := u.Port(); p != "" {
		if t.port, err = strconv.Atoi(p); err != nil || t.port < 1 || t.port > 65535 {
			return target{}, errURL
		}
	}
	for _, r := range t.host {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_:", r) {
			return target{}, errURL
		}
	}
	if strings.HasPrefix(t.host, "-") {
		return target{}, errURL
	}
	t.where = net.JoinHostPort(t.host, strconv.Itoa(t.port))
	return t, nil
}
