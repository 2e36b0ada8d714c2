package manifest

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// routeHost checks the host of a route and returns it, or "" when it is wrong.
func (f *file) routeHost(n *node) string {
	host := n.str()
	if host == "" {
		return ""
	}
	if hint := urlHint(host); hint != "" {
		f.fail(n, hint, "%s must be a host name alone", n.path)
		return ""
	}
	canonical, err := egress.CanonicalPattern(host)
	switch {
	case strings.HasSuffix(strings.ToLower(host), egress.LocalHost):
		f.fail(n, "", "%s is a name of bb itself", n.path)
		return ""
	case err != nil:
		f.fail(n, hostHint(host), "%s is not a host name or an IP address", n.path)
		return ""
	case canonical != host:
		f.fail(n, fmt.Sprintf("write %q", canonical), "%s is not in its canonical form", n.path)
		return ""
	}
	return host
}

// urlHint says how to write what a URL, a port or a path was meant to say. It
// leaves out user, password and query: they may be secrets.
func urlHint(host string) string {
	text := host
	if !strings.Contains(text, "://") {
		if !strings.ContainsAny(text, "/@") && strings.Count(text, ":") != 1 {
			return ""
		}
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return "write the name alone; port and path_allowlist are keys of their own"
	}
	hint := "write host: " + u.Hostname()
	if port := u.Port(); port != "" {
		hint += ", port: " + port
	} else if u.Scheme == "http" {
		hint += ", port: 80"
	}
	if strings.Trim(u.Path, "/") != "" {
		hint += ", path_allowlist: [" + u.EscapedPath() + "]"
	}
	return hint
}

func hostHint(host string) string {
	switch {
	case host == "*" || host == "**":
		return "name each host, or a suffix such as *.example.com"
	case strings.Contains(host, "*"):
		return "a wildcard is *.SUFFIX for one label or **.SUFFIX for several"
	case strings.HasSuffix(host, "."):
		return "remove the dot at the end"
	case strings.ContainsFunc(host, func(r rune) bool { return r > 127 }):
		return "write the xn-- form of the name"
	}
	return "labels of letters, digits and hyphens between dots, or an address in its usual form"
}
