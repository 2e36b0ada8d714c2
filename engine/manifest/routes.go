package manifest

import (
	"net/netip"
	"net/textproto"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/bot-bottle/bb/egress"
)

func (f *file) decodeEgress(n *node) Egress {
	e := Egress{
		From: f.pos(n), Network: n.get("network").str(), Pipelock: n.get("pipelock").isTrue(),
		ParentURL: f.parentURL(n.get("parent", "url")), ParentRef: f.tokenRef(n.get("parent", "token_ref")),
	}
	if parent, pipelock := n.get("parent"), n.get("pipelock"); parent != nil && pipelock.isTrue() {
		f.failKey(later(parent, pipelock), "pipelock has to be the last hop and knows no proxy behind it: remove one of them",
			"egress.pipelock (line %d) and egress.parent (line %d) exclude each other", pipelock.keyLine, parent.keyLine)
	}
	if ca := n.get("upstream_ca").str(); ca != "" {
		e.UpstreamCA = f.hostPath(ca)
	}
	e.Routes = f.decodeRoutes(n.get("routes"), "egress.routes")
	return e
}

// decodeRoutes reads a list of routes; path is what the file calls it.
func (f *file) decodeRoutes(n *node, path string) []egress.Route {
	var routes []egress.Route
	seen := map[string]int{}
	for i, item := range n.each() {
		if !item.is(isMap) {
			continue
		}
		r := f.decodeRoute(item)
		routes = append(routes, r)
		if r.Host == "" {
			continue
		}
		key := egress.Authority(r.Host, r.Port, 0)
		if first, ok := seen[key]; ok {
			f.fail(item.get("host"), "put all rules of a host and port into one route", "%s[%d] repeats %s of %s[%d]", path, i, key, path, first)
			continue
		}
		seen[key] = i
	}
	return routes
}

func (f *file) decodeRoute(n *node) egress.Route {
	line := n.keyLine
	if host := n.get("host"); host != nil {
		line = host.keyLine
	}
	r := egress.Route{
		Host: f.routeHost(n.get("host")), Port: int(n.get("port").integer(443)), Matches: f.matches(n),
		Auth:           f.auth(n.get("auth")),
		TLSPassthrough: n.get("pipelock", "tls_passthrough").isTrue(),
		GitFetch:       n.get("git", "fetch").isTrue(),
		WebSocket:      n.get("websocket").isTrue(),
		Tunnel:         n.get("tunnel").isTrue(),
		MaxBody:        f.size(n.get("max_body")),
		Source:         filepath.Base(f.path) + ":" + strconv.Itoa(line),
	}
	if f.kind == bottleKind {
		r.Source = "bottle " + r.Source
	}
	for _, item := range n.get("pipelock", "ssrf_ip_allowlist").each() {
		r.SSRFIPAllowlist = append(r.SSRFIPAllowlist, f.network(item))
	}
	if dlp := n.get("dlp"); dlp != nil {
		r.DLP = f.dlp(dlp)
	}
	if r.MaxBody > egress.MaxWhole && !r.Tunnel && (r.DLP == nil || !r.DLP.Stream) {
		f.warnAt(n.get("max_body"), "add dlp: {stream: true}, which searches as it passes, or write 8MiB",
			"%s is more than the 8MiB that can be searched whole", n.get("max_body").path)
	}
	if r.Tunnel {
		for _, key := range []string{"auth", "path_allowlist", "matches", "git", "dlp", "max_body"} {
			if other := n.get(key); other != nil {
				f.failKey(other, "remove it or the tunnel", "%s cannot act in a tunnel, which bb does not look into", other.path)
			}
		}
	}
	return r
}

func (f *file) dlp(n *node) *egress.DLP {
	return &egress.DLP{OnMatch: n.get("on_match").str(), Stream: n.get("stream").isTrue()}
}

func (f *file) matches(n *node) []egress.Match {
	allowlist, matches := n.get("path_allowlist"), n.get("matches")
	if allowlist != nil && matches != nil {
		f.failKey(later(allowlist, matches), "say it all in matches", "%s: path_allowlist and matches exclude each other", n.path)
	}
	var out []egress.Match
	if allowlist != nil {
		out = append(out, egress.Match{Paths: f.prefixes(allowlist)})
	}
	for _, item := range f.filled(matches) {
		m := egress.Match{Paths: f.prefixes(item.get("paths"))}
		for _, method := range f.filled(item.get("methods")) {
			m.Methods = append(m.Methods, method.str())
		}
		out = append(out, m)
	}
	return out
}

// prefixes are stored decoded, as the proxy compares them.
func (f *file) prefixes(n *node) []string {
	var out []string
	for _, item := range f.filled(n) {
		if item.str() == "" {
			continue
		}
		path, err := egress.CanonicalPath(item.str())
		if err != nil {
			f.fail(item, "no dot segments, empty segments, backslashes or encoded slashes", "%s is not a canonical path", item.path)
		}
		out = append(out, path)
	}
	return out
}

// framing headers address or delimit a message: a credential never goes there.
var framing = []string{
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func (f *file) auth(n *node) *egress.Auth {
	if !n.is(isMap) {
		return nil
	}
	header, query := f.carrier(n)
	return &egress.Auth{Scheme: n.get("scheme").str(), TokenRef: f.tokenRef(n.get("token_ref")), Header: header, Query: query}
}

// carrier is the header or the parameter that a credential goes into.
func (f *file) carrier(n *node) (headerName, parameter string) {
	header, query := n.get("header"), n.get("query")
	if header != nil && query != nil {
		f.failKey(later(header, query), "keep one of them", "%s: header and query exclude each other", n.path)
	}
	if slices.Contains(framing, textproto.CanonicalMIMEHeaderKey(header.str())) {
		f.fail(header, "name the header that the service reads its token from", "%s cannot carry a credential", header.path)
	}
	return header.str(), query.str()
}

func (f *file) network(n *node) string {
	text := n.str()
	prefix, err := netip.ParsePrefix(text)
	if err == nil && prefix.Masked() == prefix {
		return text
	}
	hint := "write ADDRESS/BITS, such as 10.1.0.0/16"
	if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
		hint = "write " + netip.PrefixFrom(addr, addr.BitLen()).String() + " for this one address"
	}
	if err == nil {
		hint = "did you mean " + prefix.Masked().String() + "?"
	}
	f.fail(n, hint, "%s is not a network", n.path)
	return text
}
