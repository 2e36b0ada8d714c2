package egress

import (
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
			Host: host, Port: 443, Matches: matches, Expires: expires, Source: "approved",
			Auth: &Auth{Scheme: "raw", TokenRef: "STOLEN"}, TLSPassthrough: true, SSRFIPAllowlist: []string{"10.0.0.0/8"},
		}
	}
	soon := now.Add(time.Minute)
	for _, tt := range []struct {
		name string
		asks []Route
		want []Route // after the manifest's, where it is not in its place
	}{
		{"a new host", []Route{ask("new.example.com", get, later)}, []Route{{Host: "new.example.com", Port: 443, Matches: get, Expires: later, Source: "approved"}}},
		{"a wider path keeps the login", []Route{ask("api.example.com", post, later)}, []Route{{Host: "api.example.com", Port: 443, Matches: both, Auth: auth, Expires: later, Source: "approved"}}},
		{"everything of a host", []Route{ask("api.example.com", nil, later)}, []Route{{Host: "api.example.com", Port: 443, Auth: auth, Expires: later, Source: "approved"}}},
		{"a host under a wildcard keeps its login", []Route{ask("x.wild.example.com", post, later)}, []Route{{Host: "x.wild.example.com", Port: 443, Matches: both, Auth: auth, Expires: later, Source: "approved"}}},
		{"it ended", []Route{ask("new.example.com", get, now)}, nil},
		{"allowed as it is", []Route{ask("api.example.com", get, later)}, nil},
		{"allowed whole", []Route{ask("all.example.com", get, later)}, nil},
		{"in a tunnel", []Route{ask("tunnel.example.com", get, later)}, nil},
		{"two for one host end with the first", []Route{ask("new.example.com", get, later), ask("new.example.com", post, soon)}, []Route{{Host: "new.example.com", Port: 443, Matches: both, Expires: soon, Source: "approved"}}},
		{"one for good, then one for a time", []Route{ask("new.example.com", get, later), ask("new.example.com", post, time.Time{})}, []Route{
			{Host: "new.example.com", Port: 443, Matches: post, Source: "approved"},
			{Host: "new.example.com", Port: 443, Matches: []Match{post[0], get[0]}, Expires: later, Source: "approved"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Approve(manifest, tt.asks, now)
			if err != nil {
				t.Fatal(err)
			}
			want := append(CloneRoutes(manifest), tt.want...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}

	// While it lasts it decides; then what was there before does.
	wide, err := Approve(manifest, []Route{ask("api.example.com", nil, later)}, now)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]bool{now: true, later.Add(-1): true, later: false} {
		r := Find(wide, "api.example.com", 443, at)
		if r == nil || r.Auth == nil || r.Allows("POST", "/b").Allowed != want {
			t.Errorf("at %s: %+v", at, r)
		}
	}
	// One for good takes the place of the manifest's.
	kept, err := Approve(manifest, []Route{ask("api.example.com", post, time.Time{})}, now)
	if err != nil || len(kept) != len(manifest) {
		t.Fatalf("%d, %v", len(kept), err)
	}
	if r := Find(kept, "api.example.com", 443, now); !r.Allows("POST", "/b").Allowed || r.Allows("PUT", "/c").Allowed || r.Auth == nil {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff(get, manifest[0].Matches); diff != "" {
		t.Errorf("the manifest's list was changed: %s", diff)
	}
	if _, err := Approve(manifest, []Route{ask("Bad Host", nil, later)}, now); err == nil {
		t.Error("what is no host is approved")
	}
}
