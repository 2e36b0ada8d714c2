package egress

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	someHosts    = []string{"a.x", "b.x", "a.b.x", "c.a.b.x", "x", "*.x", "**.x", "*.b.x", "**.b.x", "**.a.b.x", "192.0.2.1"}
	someMethods  = []string{"GET", "POST", "get", "PUT"}
	somePaths    = []string{"/", "/v1", "/v1/", "/v1/x", "/v10", "/v2", "/%76%31"}
	askedHosts   = []string{"a.x", "b.x", "a.b.x", "c.a.b.x", "d.c.a.b.x", "e.b.x", "x", "y.y", "192.0.2.1"}
	askedMethods = []string{"GET", "POST", "PUT", "DELETE"}
	askedPaths   = []string{"/", "/v1", "/v1/", "/v1/x", "/v1/x/y", "/v1/y", "/v10", "/v2/a", "/z"}
)

// randomRoutes makes a list without repeated keys, as the manifest loader does.
func randomRoutes(g *rand.Rand, source string) []Route {
	var out []Route
	for i := range g.IntN(4) {
		r := Route{
			Host: someHosts[g.IntN(len(someHosts))], Port: 443 - g.IntN(2), Source: fmt.Sprintf("%s:%d", source, i),
			WebSocket: g.IntN(2) == 0, TLSPassthrough: g.IntN(3) == 0, GitFetch: g.IntN(4) == 0,
		}
		for range g.IntN(3) {
			m := Match{}
			for range g.IntN(3) {
				m.Methods = append(m.Methods, someMethods[g.IntN(len(someMethods))])
			}
			for range g.IntN(3) {
				m.Paths = append(m.Paths, somePaths[g.IntN(len(somePaths))])
			}
			r.Matches = append(r.Matches, m)
		}
		if g.IntN(3) == 0 {
			r.MaxBody = int64(1 + g.IntN(3))
		}
		if g.IntN(3) == 0 {
			r.DLP = &DLP{OnMatch: []string{"", "block", "redact"}[g.IntN(3)], Stream: g.IntN(2) == 0}
			if source == "provider" && g.IntN(2) == 0 {
				r.DLP.Patterns = "redact"
			}
		}
		if g.IntN(3) == 0 {
			r.Auth = &Auth{Scheme: "Bearer", TokenRef: []string{"T", "U"}[g.IntN(2)]}
		}
		if literal(out, r) == nil {
			out = append(out, r)
		}
	}
	return out
}

// The merged list never allows a request that neither input allowed, never
// loses a limit of the manifest where that speaks about the host, and keeps
// what the manifest says about credentials.
func TestMergeNeverWidens(t *testing.T) {
	const rounds = 30000
	merges, allowed, limited := 0, 0, 0
	for seed := range uint64(rounds) {
		g := rand.New(rand.NewPCG(seed, 5))
		manifest, provider := randomRoutes(g, "dev.md"), randomRoutes(g, "provider")
		before := fmt.Sprint(manifest, provider)
		merged, err := Merge(manifest, provider)
		if err != nil {
			if !strings.Contains(err.Error(), "dev.md:") || !strings.Contains(err.Error(), "provider:") {
				t.Fatalf("seed %d: an error that does not name both: %v", seed, err)
			}
			continue
		}
		merges++
		if fmt.Sprint(manifest, provider) != before {
			t.Fatalf("seed %d: the inputs were changed", seed)
		}
		for _, host := range askedHosts {
			for _, port := range []int{442, 443} {
				m, p, got := find(manifest, host, port), find(provider, host, port), find(merged, host, port)
				if got == nil {
					if m != nil || p != nil {
						t.Fatalf("seed %d: %s:%d is lost", seed, host, port)
					}
					continue
				}
				if why := widened(m, p, got); why != "" {
					t.Fatalf("seed %d: %s:%d: %s\nmanifest %+v\nprovider %+v\nmerged %+v", seed, host, port, why, manifest, provider, merged)
				}
				for _, method := range askedMethods {
					for _, path := range askedPaths {
						if !got.Allows(method, path).Allowed {
							continue
						}
						allowed++
						byM, byP := m != nil && m.Allows(method, path).Allowed, p != nil && p.Allows(method, path).Allowed
						switch {
						case !byM && !byP:
							t.Fatalf("seed %d: %s %s:%d%s was allowed by neither", seed, method, host, port, path)
						case m != nil && !byM:
							t.Fatalf("seed %d: %s %s:%d%s is not what the manifest's %s allows\nmanifest %+v\nprovider %+v\nmerged %+v",
								seed, method, host, port, path, m.Host, manifest, provider, merged)
						case p != nil && got.Source == p.Source && !byP:
							t.Fatalf("seed %d: %s %s:%d%s is not what the provider asks for", seed, method, host, port, path)
						case m != nil:
							limited++
						}
					}
				}
			}
		}
	}
	// It must have had something to say.
	if merges < rounds/2 || allowed < rounds || limited < rounds {
		t.Errorf("%d merges, %d requests allowed, %d of them under the manifest", merges, allowed, limited)
	}
}

func find(routes []Route, host string, port int) *Route { return Find(routes, host, port, time.Time{}) }

// widened says which limit or power of the manifest's route m, or else of the
// provider's p, the merged one does not keep.
func widened(m, p, got *Route) string {
	switch {
	case m != nil && m.MaxBody > 0 && (got.MaxBody == 0 || got.MaxBody > m.MaxBody):
		return "max_body"
	case m != nil && m.DLP != nil && (got.DLP == nil || got.DLP.OnMatch != m.DLP.OnMatch || got.DLP.Stream != m.DLP.Stream):
		return "dlp"
	case got.Action(Hit{Known: true}) != OnMatchBlock && !said(m, p, got, func(r *Route) bool { return r.Action(Hit{Known: true}) == got.Action(Hit{Known: true}) }):
		return "dlp of known values"
	case got.Action(Hit{}) != OnMatchBlock && !said(m, p, got, func(r *Route) bool { return r.Action(Hit{}) == got.Action(Hit{}) }):
		return "dlp of other hits"
	case m != nil && m.DLP != nil && m.DLP.OnMatch != "" && got.Action(Hit{}) != m.DLP.OnMatch:
		return "dlp.on_match of the manifest, for other hits"
	case got.DLP != nil && got.DLP.Stream && !said(m, p, got, func(r *Route) bool { return r.DLP != nil && r.DLP.Stream }):
		return "dlp.stream"
	case m != nil && m.Host == got.Host && m.Auth != nil && (got.Auth == nil || !got.Auth.Same(m.Auth)):
		return "the manifest's auth"
	case m != nil && m.Host == got.Host && (got.WebSocket != m.WebSocket || got.GitFetch != m.GitFetch):
		return "websocket or git.fetch of the manifest"
	case got.WebSocket && (m == nil || !m.WebSocket) && (p == nil || !p.WebSocket):
		return "websocket"
	case got.GitFetch && (m == nil || !m.GitFetch) && (p == nil || !p.GitFetch):
		return "git.fetch"
	case p != nil && p.Host == got.Host && p.TLSPassthrough && !got.TLSPassthrough:
		return "tls_passthrough"
	case p != nil && p.Host == got.Host && p.Auth != nil && (got.Auth == nil || !got.Auth.Same(p.Auth)):
		return "the provider's auth"
	}
	return ""
}

// said reports whether one of the inputs says it: the manifest's of the host,
// or the provider's where that is what asks for the host.
func said(m, p, got *Route, says func(*Route) bool) bool {
	return m != nil && says(m) || p != nil && p.Host == got.Host && says(p)
}

// A slot stands for one reference, numbered as the references first occur; the
// same routes get the same slots, whatever unauthenticated ones are added.
func TestSlotsAreStable(t *testing.T) {
	for seed := range uint64(2000) {
		g := rand.New(rand.NewPCG(seed, 6))
		merged, err := Merge(randomRoutes(g, "dev.md"), randomRoutes(g, "provider"))
		if err != nil {
			continue
		}
		slotted, refs := Slots(merged)
		byRef := map[string]string{}
		for i, r := range refs {
			if r.Slot != fmt.Sprintf("EGRESS_TOKEN_%d", i) || byRef[r.Ref] != "" {
				t.Fatalf("seed %d: %v", seed, refs)
			}
			byRef[r.Ref] = r.Slot
		}
		var seen []string
		for i, r := range slotted {
			if (r.Auth == nil) != (merged[i].Auth == nil) {
				t.Fatalf("seed %d: an auth came or went", seed)
			}
			if r.Auth == nil {
				continue
			}
			if r.Auth.Slot != byRef[merged[i].Auth.TokenRef] || r.Auth.TokenRef != "" || merged[i].Auth.Slot != "" {
				t.Fatalf("seed %d: %+v of %+v", seed, r.Auth, merged[i].Auth)
			}
			if !slices.Contains(seen, r.Auth.Slot) {
				seen = append(seen, r.Auth.Slot)
			}
		}
		if len(seen) != len(refs) || !slices.IsSorted(seen) {
			t.Fatalf("seed %d: slots %v of %v", seed, seen, refs)
		}
		more := slices.Insert(slices.Clone(merged), g.IntN(len(merged)+1), Route{Host: "more.example", Port: 443})
		if _, again := Slots(more); !slices.Equal(again, refs) {
			t.Fatalf("seed %d: %v, then %v", seed, refs, again)
		}
	}
}
