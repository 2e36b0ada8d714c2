package egress

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestApprove(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	later := now.Add(time.Hour)
	auth := &Auth{Scheme: "Bearer", TokenRef: "T", Slot: "EGRESS_TOKEN_0"}
	get := []Match{{Methods: []string{"GET"}, Paths: []string{"/a"}}}
	post := []Match{{Methods: []string{"POST"}, Paths: []string{"/b"}}}
	both := []Match{get[0], post[0]}
	manifest := []Route{
		{Host: "api.example.com", Port: 443, Matches: get, Auth: auth, Source: "bottle"},
		{Host: "*.wild.example.com", Port: 443, Auth: auth, Matches: get, Source: "bottle"},
		{Host: "all.example.com", Port: 443, Source: "bottle"},
		{Host: "tunnel.example.com", Port: 443, Tunnel: true, Source: "bottle"},
	}
	ask := func(host string, matches []Match, expires time.Time) Route {
		return Route{
			Host: host, Port: 443, Matches: matches, Expires: expires, Source: "approved", Approved: []string{"p"},
			Auth: &Auth{Scheme: "raw", TokenRef: "STOLEN"}, TLSPassthrough: true, SSRFIPAllowlist: []string{"10.0.0.0/8"},
		}
	}
	soon := now.Add(time.Minute)
	one, two := []string{"p"}, []string{"p", "p"}
	more := "approved, and 1 more"
	for _, tt := range []struct {
		name string
		asks []Route
		want []Route // after the manifest's
	}{
		{"a new host", []Route{ask("new.example.com", get, later)}, []Route{{Host: "new.example.com", Port: 443, Matches: get, Expires: later, Source: "approved", Approved: one}}},
		{"a wider path keeps the login", []Route{ask("api.example.com", post, later)}, []Route{{Host: "api.example.com", Port: 443, Matches: both, Auth: auth, Expires: later, Source: "approved", Approved: one}}},
		{"everything of a host", []Route{ask("api.example.com", nil, later)}, []Route{{Host: "api.example.com", Port: 443, Auth: auth, Expires: later, Source: "approved", Approved: one}}},
		{"a host under a wildcard keeps its login", []Route{ask("x.wild.example.com", post, later)}, []Route{{Host: "x.wild.example.com", Port: 443, Matches: both, Auth: auth, Expires: later, Source: "approved", Approved: one}}},
		{"allowed as it is", []Route{ask("api.example.com", get, later)}, nil},
		{"allowed whole", []Route{ask("all.example.com", get, later)}, nil},
		{"in a tunnel", []Route{ask("tunnel.example.com", get, later)}, nil},
		{"each of two for one host ends by itself", []Route{ask("new.example.com", post, soon), ask("new.example.com", get, later)}, []Route{
			{Host: "new.example.com", Port: 443, Matches: get, Expires: later, Source: "approved", Approved: one},
			{Host: "new.example.com", Port: 443, Matches: both, Expires: soon, Source: more, Approved: two},
		}},
		{"two that end together", []Route{ask("new.example.com", get, later), ask("new.example.com", post, later)}, []Route{
			{Host: "new.example.com", Port: 443, Matches: both, Expires: later, Source: more, Approved: two},
		}},
		{"one for a time, then one for good", []Route{ask("new.example.com", get, later), ask("new.example.com", post, time.Time{})}, []Route{
			{Host: "new.example.com", Port: 443, Matches: post, Source: "approved", Approved: one},
			{Host: "new.example.com", Port: 443, Matches: []Match{post[0], get[0]}, Expires: later, Source: more, Approved: two},
		}},
		{"what a longer one allows already", []Route{ask("new.example.com", get, later), ask("new.example.com", get, soon)}, []Route{
			{Host: "new.example.com", Port: 443, Matches: get, Expires: later, Source: more, Approved: two},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Approve(manifest, tt.asks)
			if err != nil {
				t.Fatal(err)
			}
			want := append(CloneRoutes(manifest), tt.want...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again, err := Approve(got, tt.asks); err != nil || cmp.Diff(got, again) != "" {
				t.Errorf("once more it is another, %v: %s", err, cmp.Diff(got, again))
			}
			if bare, err := Approve(got, nil); err != nil || cmp.Diff(manifest, bare) != "" {
				t.Errorf("taken back, %v: %s", err, cmp.Diff(manifest, bare))
			}
		})
	}

	// While it lasts it decides; then what was there before does.
	wide, err := Approve(manifest, []Route{ask("api.example.com", nil, later)})
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]bool{now: true, later.Add(-1): true, later: false} {
		r := Find(wide, "api.example.com", 443, at)
		if r == nil || r.Auth == nil || r.Allows("POST", "/b").Allowed != want {
			t.Errorf("at %s: %+v", at, r)
		}
	}
	// One for good stands beside the manifest's too, which stays as it is.
	kept, err := Approve(manifest, []Route{ask("api.example.com", post, time.Time{})})
	if err != nil || len(kept) != len(manifest)+1 {
		t.Fatalf("%d, %v", len(kept), err)
	}
	if r := Find(kept, "api.example.com", 443, now); !r.Allows("POST", "/b").Allowed || r.Allows("PUT", "/c").Allowed || r.Auth == nil {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff(get, manifest[0].Matches); diff != "" {
		t.Errorf("the manifest's list was changed: %s", diff)
	}
	if _, err := Approve(manifest, []Route{ask("Bad Host", nil, later)}); err == nil {
		t.Error("what is no host is approved")
	}
	if _, err := Approve(manifest, []Route{{Host: "new.example.com", Port: 443}}); err == nil {
		t.Error("what nobody proposed is approved")
	}
}

// At every moment exactly that is allowed which the manifest allows, or an
// approval that has not ended: whatever was approved before, after and beside it.
func TestApprovalsLastAsShown(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		checkApprovals(t, r)
	}
}

func FuzzApprovals(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { checkApprovals(t, rand.New(rand.NewPCG(a, b))) })
}

func checkApprovals(t *testing.T, r *rand.Rand) {
	t.Helper()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	hosts := []string{"a.example.com", "x.wild.example.com", "deep.x.wild.example.com", "new.example.com"}
	methods, paths := []string{"GET", "POST", "PUT"}, []string{"/a", "/a/b", "/c"}
	some := func(words []string) (out []string) {
		for _, w := range words {
			if r.IntN(3) == 0 {
				out = append(out, w)
			}
		}
		return out
	}
	matches := func() (out []Match) {
		for range r.IntN(3) {
			out = append(out, Match{Methods: some(methods), Paths: some(paths)})
		}
		return out
	}
	var manifest []Route
	for _, host := range []string{"a.example.com", "*.wild.example.com", "**.wild.example.com"} {
		if r.IntN(2) == 0 {
			manifest = append(manifest, Route{Host: host, Port: 443, Matches: matches(), Source: "bottle"})
		}
	}
	var approved []Route
	for n := range r.IntN(6) {
		a := Route{
			Host: hosts[r.IntN(len(hosts))], Port: 443 + r.IntN(2), Matches: matches(),
			Source: "approved", Approved: []string{strconv.Itoa(n)},
		}
		if r.IntN(4) > 0 {
			a.Expires = start.Add(time.Duration(1+r.IntN(4)) * time.Minute)
		}
		approved = append(approved, a)
	}
	routes, err := Approve(manifest, approved)
	if err != nil {
		t.Fatalf("%v\n%+v\n%+v", err, manifest, approved)
	}
	for at := start; at.Before(start.Add(5 * time.Minute)); at = at.Add(30 * time.Second) {
		for _, host := range hosts {
			known := false
			for port := 443; port <= 444; port++ {
				base := Find(manifest, host, port, at)
				covered := func(method, path string) bool {
					return base != nil && base.Allows(method, path).Allowed ||
						slices.ContainsFunc(approved, func(a Route) bool {
							return a.Host == host && a.Port == port && !a.Expired(at) && a.Allows(method, path).Allowed
						})
				}
				known = known || Find(routes, host, port, at) != nil
				for _, method := range append(methods, "DELETE") {
					for _, path := range append(paths, "/", "/a/b/c") {
						url := "https://" + Authority(host, port, 443) + path
						if got, want := Explain(routes, method, url, at).Allowed, covered(method, path); got != want {
							t.Fatalf("at %s, %s %s: allowed %v, want %v\nmanifest %+v\napproved %+v\nroutes %+v",
								at.Sub(start), method, url, got, want, manifest, approved, routes)
						}
					}
				}
			}
			if names := Names(routes, host, at); names != known {
				t.Fatalf("at %s the DNS knows %s: %v, and the proxy %v", at.Sub(start), host, names, known)
			}
		}
	}
}
