package manifest

import (
	"net/url"

	"github.com/bot-bottle/bb/egress"
)

// parentURL checks the URL of a parent proxy and returns it as
// SCHEME://HOST:PORT, or "" where it is wrong. A port that is not named is that
// of the scheme, as in every URL. It never prints the URL: it may hold a
// password.
func (f *file) parentURL(n *node) string {
	const forms = "write http://HOST:PORT or https://HOST:PORT"
	text := n.str()
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		f.fail(n, forms, "%s is not the URL of a proxy", n.path)
		return ""
	}
	standard, known := map[string]int{"http": 80, "https": 443}[u.Scheme]
	switch {
	case !known:
		f.fail(n, forms, "%s must begin with http:// or https://", n.path)
		return ""
	case u.User != nil:
		f.fail(n, "put USER:PASSWORD behind egress.parent.token_ref", "%s must not hold a user or a password", n.path)
		return ""
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		f.fail(n, forms, "%s has more than a host and a port", n.path)
		return ""
	}
	host, port, err := egress.SplitAuthority(u.Host, standard)
	if err != nil || host == egress.LocalHost {
		f.fail(n, "a name or an address in its usual form, and a port between 1 and 65535", "%s has no canonical host and port", n.path)
		return ""
	}
	return u.Scheme + "://" + egress.Authority(host, port, 0)
}
