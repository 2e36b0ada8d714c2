package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// loginHeaders carry a login at one service or another (attack D1): on a route
// with a credential of its own the agent's must not arrive beside it.
var loginHeaders = []string{"Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"}

// Frameworks take the path or the method from these headers instead of the
// request line: a request would be decided about as one thing and done as
// another. Method overrides have honest uses where no rule looks at methods.
var (
	pathOverrides   = []string{"X-Original-Url", "X-Rewrite-Url"}
	methodOverrides = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}
)

// strip drops the agent's own logins (design, section 5, step 5), and what
// would make the upstream see another request than the rules did.
func (x *exchange) strip() *denial {
	h, route := x.r.Header, x.verdict.Route
	drop := append([]string{"Proxy-Authorization"}, pathOverrides...)
	if len(route.Matches) > 0 {
		drop = append(drop, methodOverrides...)
	}
	if route.Auth != nil || !route.TLSPassthrough {
		drop = append(drop, "Authorization")
	}
	if route.Auth != nil {
		drop = append(drop, loginHeaders...)
		drop = append(drop, route.Strip...)
		if name := route.Auth.HeaderName(); name != "" {
			drop = append(drop, name)
		}
		if route.Auth.Query != "" {
			x.url.RawQuery = withoutParameter(x.url.RawQuery, route.Auth.Query)
		}
	}
	dropHeaders(h, drop)
	return nil
}

// dropHeaders compares as gateways do that turn X_Api_Key into the same
// variable as X-Api-Key.
func dropHeaders(h http.Header, names []string) {
	for name := range h {
		if slices.ContainsFunc(names, func(n string) bool { return sameHeader(n, name) }) {
			delete(h, name)
		}
	}
}

func sameHeader(a, b string) bool {
	return len(a) == len(b) && strings.EqualFold(strings.ReplaceAll(a, "_", "-"), strings.ReplaceAll(b, "_", "-"))
}

// withoutParameter removes a URL parameter in every spelling that a server may
// read as its name, and leaves the rest of the query as it is.
func withoutParameter(query, name string) string {
	if query == "" {
		return ""
	}
	keep := []string{}
	for part := range strings.SplitSeq(query, "&") {
		if !slices.ContainsFunc(strings.Split(part, ";"), func(s string) bool { return namesParameter(s, name) }) {
			keep = append(keep, part)
		}
	}
	return strings.Join(keep, "&")
}

func namesParameter(part, name string) bool {
	key, _, _ := strings.Cut(part, "=")
	decoded, err := url.QueryUnescape(key)
	if err != nil {
		return true // a server may still make the name out of it
	}
	decoded, _, _ = strings.Cut(decoded, "[")
	return strings.EqualFold(strings.Trim(decoded, " \t\x00"), name)
}

// inject puts the credential on what goes out, after everything that came from
// the agent has been settled.
func (x *exchange) inject(out *http.Request) {
	u := x.up
	switch {
	case u.secret == "":
	case u.query != "":
		pair := url.QueryEscape(u.query) + "=" + url.QueryEscape(u.secret)
		if out.URL.RawQuery != "" {
			pair = out.URL.RawQuery + "&" + pair
		}
		out.URL.RawQuery = pair
	default:
		out.Header[u.header] = []string{u.headerValue}
	}
}
