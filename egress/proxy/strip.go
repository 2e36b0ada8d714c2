package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// loginHeaders carry a login at one service or another (attack D1): on a route
// with a credential of its own the agent's must not arrive beside it.
var loginHeaders = []string{
	"Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Api-Token", "X-Auth-Token", "X-Access-Token",
	"Private-Token", "Job-Token", "Deploy-Token", "X-Gitlab-Token", "X-Amz-Security-Token",
}

// loginParameters do so in a query (RFC 6750, 2.3; OAuth 1.0; GitLab). Names
// with other honest uses, such as key, token and auth, are not among them.
var loginParameters = []string{"access_token", "private_token", "oauth_token", "api_key", "apikey"}

// partialHeaders ask for an answer in which a credential cannot be found: cut
// in two by a range, or compressed inside of frames (RFC 7692, gRPC).
var partialHeaders = []string{
	"Range", "If-Range", "Sec-WebSocket-Extensions", "Grpc-Accept-Encoding", "Connect-Accept-Encoding",
}

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
	drop := append([]string{"Proxy-Authorization", "Forwarded"}, pathOverrides...)
	if len(route.Matches) > 0 {
		drop = append(drop, methodOverrides...)
	}
	if route.Auth != nil || !route.TLSPassthrough {
		drop = append(drop, "Authorization")
	}
	if route.Auth != nil {
		drop = append(drop, loginHeaders...)
		drop = append(drop, partialHeaders...)
		drop = append(drop, route.Strip...)
		if name := route.Auth.HeaderName(); name != "" {
			drop = append(drop, name)
		}
		x.url.RawQuery = withoutParameters(x.url.RawQuery, func(part string) bool {
			return route.Auth.Query != "" && namesParameter(part, route.Auth.Query) || isLoginParameter(part)
		})
		limitCoding(h)
	}
	dropHeaders(h, append(drop, x.hopOrders()...))
	for name := range h {
		if len(name) > len(forwarded) && sameHeader(name[:len(forwarded)], forwarded) {
			delete(h, name)
		}
	}
	return nil
}

// forwarded begins the headers in which a proxy says whom it speaks for.
const forwarded = "X-Forwarded-"

// limitCoding leaves of what the agent accepts the one coding in which a
// credential can be looked for.
func limitCoding(h http.Header) {
	const name = "Accept-Encoding"
	if h[name] == nil {
		return
	}
	coding := "identity"
	for _, v := range h[name] {
		for part := range strings.SplitSeq(v, ",") {
			c, weight, _ := strings.Cut(part, ";")
			c = strings.ToLower(strings.TrimSpace(c))
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(weight)), "q="), 64)
			if (c == "gzip" || c == "x-gzip" || c == "*") && (err != nil || q > 0) {
				coding = "gzip"
			}
		}
	}
	h[name] = []string{coding}
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

// withoutParameters removes the parts of a query that drop names, and leaves
// the others byte for byte. Some servers split at ";" too.
func withoutParameters(query string, drop func(part string) bool) string {
	if query == "" {
		return ""
	}
	keep := []string{}
	for part := range strings.SplitSeq(query, "&") {
		if !slices.ContainsFunc(strings.Split(part, ";"), drop) {
			keep = append(keep, part)
		}
	}
	return strings.Join(keep, "&")
}

func isLoginParameter(part string) bool {
	key, _, _ := strings.Cut(part, "=")
	name, err := url.QueryUnescape(key)
	return err == nil && slices.ContainsFunc(loginParameters, func(p string) bool { return equalASCII(name, p) })
}

// namesParameter takes every spelling that a server may read as the name: what
// carries the credential must not be there twice.
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
