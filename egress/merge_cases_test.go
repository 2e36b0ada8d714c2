package egress

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func port(n int) func(*Route) { return func(r *Route) { r.Port = n } }

func allow(methods string, paths ...string) func(*Route) {
	return func(r *Route) {
		r.Matches = append(r.Matches, Match{Methods: strings.Fields(methods), Paths: paths})
	}
}

func limits(body int64, dlp string) func(*Route) {
	return func(r *Route) {
		if r.MaxBody = body; dlp != "" {
			r.DLP = &DLP{OnMatch: dlp}
		}
	}
}

func hits(onMatch, patterns string, stream bool) func(*Route) {
	return func(r *Route) { r.DLP = &DLP{OnMatch: onMatch, Patterns: patterns, Stream: stream} }
}

func in(header, query string) func(*Route) {
	return func(r *Route) { r.Auth.Header, r.Auth.Query = header, query }
}

func socket(r *Route) { r.WebSocket = true }

func tunnel(r *Route) { r.Tunnel = true }

// Each case of the design, section 6, with paths, methods, ports and
// wildcards. The order of either list decides the order of the result and
// nothing else: every case is tried in all of them.
func TestMergeCases(t *testing.T) {
	const m, p = "bottle dev.md:3", "provider claude"
	tests := map[string]struct {
		manifest, provider, want []Route
		err                      string
	}{
		"nothing": {},
		"1 to nothing": {
			provider: []Route{r("a.example", p, bearer("T"), passthrough, socket)},
			want:     []Route{r("a.example", p, bearer("T"), passthrough, socket)},
		},
		"1 beside another port": {
			manifest: []Route{r("a.example", m, port(8443), bearer("U"), under("/v1"))},
			provider: []Route{r("a.example", p, bearer("T"))},
			want:     []Route{r("a.example", m, port(8443), bearer("U"), under("/v1")), r("a.example", p, bearer("T"))},
		},
		"1 under a wildcard of another port": {
			manifest: []Route{r("*.example", m, port(80), under("/v1"))},
			provider: []Route{r("a.example", p)},
			want:     []Route{r("*.example", m, port(80), under("/v1")), r("a.example", p)},
		},
		"1 under a wildcard": {
			manifest: []Route{r("*.example", m, allow("GET POST", "/v1"), limits(9, "block"))},
			provider: []Route{r("a.example", p, bearer("T"), passthrough)},
			want: []Route{
				r("*.example", m, allow("GET POST", "/v1"), limits(9, "block")),
				r("a.example", p, bearer("T"), passthrough, allow("GET POST", "/v1"), limits(9, "block")),
			},
		},
		"1 the nearest wildcard": {
			manifest: []Route{r("**.b.example", m, under("/near")), r("**.example", m, under("/far")), r("*.example", m, under("/no"))},
			provider: []Route{r("a.b.example", p)},
			want: []Route{
				r("**.b.example", m, under("/near")), r("**.example", m, under("/far")), r("*.example", m, under("/no")),
				r("a.b.example", p, under("/near")),
			},
		},
		"1 a wildcard under a wildcard": {
			manifest: []Route{r("**.example", m, under("/v1"))},
			provider: []Route{r("*.example", p), r("**.b.example", p)},
			want:     []Route{r("**.example", m, under("/v1")), r("*.example", p, under("/v1")), r("**.b.example", p, under("/v1"))},
		},
		"1 a wildcard wider than the manifest's": { // which decides about its own hosts
			manifest: []Route{r("*.example", m, under("/v1"))},
			provider: []Route{r("**.example", p)},
			want:     []Route{r("*.example", m, under("/v1")), r("**.example", p)},
		},
		"1 the smaller body, the manifest's detector": {
			manifest: []Route{r("*.example", m, limits(9, "redact")), r("*.other", m, limits(99, ""))},
			provider: []Route{r("a.example", p, limits(5, "block")), r("a.other", p, limits(0, "block"))},
			want: []Route{
				r("*.example", m, limits(9, "redact")), r("*.other", m, limits(99, "")),
				r("a.example", p, limits(5, "redact")), r("a.other", p, limits(99, "block")),
			},
		},
		"1 hits: a wildcard's own word, else the provider's": {
			manifest: []Route{r("*.a.example", m), r("*.b.example", m, hits("", "", true)), r("*.c.example", m, hits("block", "", false)), r("*.d.example", m, tunnel)},
			provider: []Route{
				r("x.a.example", p, hits("", "redact", false)), r("x.b.example", p, hits("", "redact", false)),
				r("x.c.example", p, hits("", "redact", false)), r("x.d.example", p, hits("", "redact", false)),
			},
			want: []Route{
				r("*.a.example", m), r("*.b.example", m, hits("", "", true)), r("*.c.example", m, hits("block", "", false)), r("*.d.example", m, tunnel),
				r("x.a.example", p, hits("", "redact", false)), r("x.b.example", p, hits("", "redact", true)),
				r("x.c.example", p, hits("block", "", false)), r("x.d.example", p, hits("", "redact", false)),
			},
		},
		"2 hits: the provider's where nothing is said": {
			manifest: []Route{r("a.example", m, under("/v1"))},
			provider: []Route{r("a.example", p, hits("", "redact", false))},
			want:     []Route{r("a.example", m, under("/v1"), hits("", "redact", false))},
		},
		"2 hits: all of the provider's own word": {
			manifest: []Route{r("a.example", m)},
			provider: []Route{r("a.example", p, hits("redact", "", true))},
			want:     []Route{r("a.example", m, hits("redact", "", true))},
		},
		"2 hits: the provider's for what is no known value": {
			manifest: []Route{r("a.example", m, hits("", "", true))},
			provider: []Route{r("a.example", p, hits("redact", "redact", false))},
			want:     []Route{r("a.example", m, hits("", "redact", true))},
		},
		"2 hits: the manifest's own word": {
			manifest: []Route{r("a.example", m, hits("block", "", false)), r("b.example", m, hits("supervise", "", false)), r("c.example", m, hits("redact", "", false))},
			provider: []Route{r("a.example", p, hits("", "redact", false)), r("b.example", p, hits("", "redact", false)), r("c.example", p, hits("", "redact", false))},
			want:     []Route{r("a.example", m, hits("block", "", false)), r("b.example", m, hits("supervise", "", false)), r("c.example", m, hits("redact", "", false))},
		},
		"2 hits: a provider that says nothing": {
			manifest: []Route{r("a.example", m, hits("", "", true)), r("b.example", m)},
			provider: []Route{r("a.example", p, passthrough), r("b.example", p, passthrough)},
			want:     []Route{r("a.example", m, hits("", "", true), passthrough), r("b.example", m, passthrough)},
		},
		"2 hits: not through a wildcard that adopted them": { // which the order of the lists would decide
			manifest: []Route{r("**.example", m)},
			provider: []Route{r("**.example", p, hits("redact", "", false)), r("a.example", p)},
			want:     []Route{r("**.example", m, hits("redact", "", false)), r("a.example", p)},
		},
		"2 hits: nothing is searched in a tunnel": {
			manifest: []Route{r("a.example", m, tunnel)},
			provider: []Route{r("a.example", p, hits("", "redact", false))},
			want:     []Route{r("a.example", m, tunnel)},
		},
		"1 methods and paths meet": {
			manifest: []Route{r("*.example", m, allow("GET"), allow("POST", "/v1"))},
			provider: []Route{r("a.example", p, allow("get PUT", "/v1/x", "/w"), allow("POST", "/"))},
			want: []Route{
				r("*.example", m, allow("GET"), allow("POST", "/v1")),
				r("a.example", p, allow("get", "/v1/x", "/w"), allow("POST", "/v1")),
			},
		},
		"1 the narrower of two paths": {
			manifest: []Route{r("*.example", m, under("/v1", "/v2/x"))},
			provider: []Route{r("a.example", p, under("/v1/x", "/v2"))},
			want:     []Route{r("*.example", m, under("/v1", "/v2/x")), r("a.example", p, under("/v1/x", "/v2/x"))},
		},
		"1 methods do not meet": {
			manifest: []Route{r("*.example", m, allow("GET"))},
			provider: []Route{r("a.example", p, allow("POST"))},
			err:      "a.example:443 of provider claude and the wildcard *.example (bottle dev.md:3) have no request in common; widen the wildcard, or declare the host itself",
		},
		"1 an address under no wildcard": {
			manifest: []Route{r("**.1", m, under("/v1"))},
			provider: []Route{r("192.0.2.1", p)},
			want:     []Route{r("**.1", m, under("/v1")), r("192.0.2.1", p)},
		},
		"2 adopted, everything else kept": {
			manifest: []Route{r("a.example", m, allow("GET", "/v1"), limits(9, "block"))},
			provider: []Route{r("a.example", p, bearer("T"), allow("POST"), limits(99, "redact"), socket, passthrough)},
			want:     []Route{r("a.example", m, allow("GET", "/v1"), limits(9, "block"), bearer("T"), passthrough)},
		},
		"2 a wildcard by its own name": {
			manifest: []Route{r("*.example", m)},
			provider: []Route{r("*.example", p, bearer("T"))},
			want:     []Route{r("*.example", m, bearer("T"))},
		},
		"2 the wildcard beside stays without": {
			manifest: []Route{r("*.example", m), r("a.example", m)},
			provider: []Route{r("a.example", p, bearer("T"))},
			want:     []Route{r("*.example", m), r("a.example", m, bearer("T"))},
		},
		"3 the same, by its default header": {
			manifest: []Route{r("a.example", m, bearer("T"), in("AUTHORIZATION", ""), under("/v1"))},
			provider: []Route{r("a.example", p, bearer("T"))},
			want:     []Route{r("a.example", m, bearer("T"), in("AUTHORIZATION", ""), under("/v1"))},
		},
		"4 the manifest's stays": {
			manifest: []Route{r("a.example", m, bearer("T"), under("/v1"))},
			provider: []Route{r("a.example", p, under("/v2"), limits(1, "block"))},
			want:     []Route{r("a.example", m, bearer("T"), under("/v1"), limits(0, "block"))},
		},
		"5 passthrough in every case": {
			manifest: []Route{r("a.example", m, bearer("T")), r("b.example", m), r("c.example", m, bearer("T")), r("d.example", m, passthrough)},
			provider: []Route{
				r("a.example", p, passthrough), r("b.example", p, bearer("T"), passthrough),
				r("c.example", p, bearer("T"), passthrough), r("d.example", p), r("e.example", p, passthrough),
			},
			want: []Route{
				r("a.example", m, bearer("T"), passthrough), r("b.example", m, bearer("T"), passthrough),
				r("c.example", m, bearer("T"), passthrough), r("d.example", m, passthrough), r("e.example", p, passthrough),
			},
		},
		"6 another reference": {
			manifest: []Route{r("a.example", m, bearer("T"))},
			provider: []Route{r("a.example", p, bearer("U"))},
			err:      "a.example:443 has two different auths: bottle dev.md:3 and provider claude; remove one of them",
		},
		"6 another scheme": {
			manifest: []Route{r("a.example", m, bearer("T"), func(r *Route) { r.Auth.Scheme = "raw" })},
			provider: []Route{r("a.example", p, bearer("T"))},
			err:      "two different auths: bottle dev.md:3 and provider claude",
		},
		"6 another header": {
			manifest: []Route{r("a.example", m, bearer("T"), in("X-Key", ""))},
			provider: []Route{r("a.example", p, bearer("T"))},
			err:      "two different auths: bottle dev.md:3 and provider claude",
		},
		"6 a parameter": {
			manifest: []Route{r("a.example", m, bearer("T"), in("", "key"))},
			provider: []Route{r("a.example", p, bearer("T"), in("", "Key"))},
			err:      "two different auths: bottle dev.md:3 and provider claude",
		},
		"tunnel": {
			manifest: []Route{r("a.example", m, func(r *Route) { r.Tunnel = true })},
			provider: []Route{r("a.example", p, bearer("T"))},
			err:      "a.example:443 is an uninspected tunnel (bottle dev.md:3), and provider claude wants to authenticate there; remove the tunnel",
		},
	}
	for name, tt := range tests {
		for _, manifest := range orders(tt.manifest) {
			for _, provider := range orders(tt.provider) {
				got, err := Merge(manifest, provider)
				if tt.err != "" {
					if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n") || got != nil {
						t.Errorf("%s: %v, %v; want %q", name, got, err, tt.err)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if d := cmp.Diff(inOrder(tt.want, manifest, provider), got); d != "" && len(got)+len(tt.want) > 0 {
					t.Errorf("%s (-want +got):\n%s", name, d)
				}
			}
		}
	}
}

// orders are all permutations of a few routes.
func orders(routes []Route) [][]Route {
	if len(routes) < 2 {
		return [][]Route{routes}
	}
	var out [][]Route
	for i := range routes {
		rest := slices.Delete(slices.Clone(routes), i, i+1)
		for _, tail := range orders(rest) {
			out = append(out, append([]Route{routes[i]}, tail...))
		}
	}
	return out
}

// inOrder sorts a result as the lists that it comes from are: the manifest's,
// then what the provider adds.
func inOrder(want []Route, lists ...[]Route) []Route {
	var out []Route
	for _, list := range lists {
		for _, l := range list {
			if r := literal(want, l); r != nil && literal(out, l) == nil {
				out = append(out, *r)
			}
		}
	}
	return out
}
