package cli

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/spec"
)

// A manifest with the promoted routes in it decides as the approvals did, whatever
// it and the provider say: the same requests, with the same login, searched alike.
func TestPromotedDecidesAlike(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	promotedSome := 0
	for range 2000 {
		manifest := someRoutes(r, "bottle", "a.example.com", "*.wild.example.com", "b.example.com")
		offers := someRoutes(r, "provider", "a.example.com", "x.wild.example.com", "c.example.com")
		for i := range offers {
			offers[i].Strip = []string{"X-Login"}
			if r.IntN(2) == 0 {
				offers[i].DLP = &egress.DLP{Patterns: egress.OnMatchRedact}
			}
		}
		merged, err := egress.Merge(manifest, offers)
		if err != nil {
			continue
		}
		live := liveOf(merged)
		var o approval.Overlay
		for n := range 1 + r.IntN(3) {
			host := []string{"a.example.com", "x.wild.example.com", "y.wild.example.com", "b.example.com", "c.example.com", "new.example.com"}[r.IntN(6)]
			ask := egress.Route{Host: host, Port: 443, Matches: []egress.Match{{Methods: []string{"PUT"}, Paths: []string{"/" + strconv.Itoa(n)}}}}
			o = o.Approve(ask, approval.Login(live.Routes, live.Tokens, ask), approval.Word{Proposal: strconv.Itoa(n), At: time.Now()}, 0)
		}
		declared := live.Routes
		if _, err := o.Apply(&live); err != nil {
			t.Fatal(err)
		}
		pasted := egress.CloneRoutes(manifest)
		for _, x := range live.Routes {
			if !approval.Is(x) {
				continue
			}
			promotedSome++
			one, note := promoted(x, declared, manifest, live.Tokens)
			if source, ok := strings.CutPrefix(note, "instead of "); ok {
				kept := pasted[:0]
				for _, p := range pasted {
					if p.Source != source {
						kept = append(kept, p)
					}
				}
				pasted = kept
			}
			one.Source = "bottle pasted"
			pasted = append(pasted, one)
		}
		again, err := egress.Merge(pasted, offers)
		if err != nil {
			t.Fatalf("%v\nmanifest %+v\noffers %+v\npasted %+v", err, manifest, offers, pasted)
		}
		next := liveOf(again)
		for _, x := range live.Routes {
			if !approval.Is(x) {
				continue
			}
			got := egress.Find(next.Routes, x.Host, x.Port, time.Now())
			if diff := cmp.Diff(rule(x, live.Tokens), rule(*got, next.Tokens)); diff != "" {
				t.Fatalf("%s (-approved +pasted):\n%s\nmanifest %+v\noffers %+v", x.Host, diff, manifest, offers)
			}
		}
		if left, err := o.Apply(&next); err != nil || len(left) > 0 || len(next.Routes) != len(again) {
			t.Fatalf("the approvals still add something: %v, %v, %+v", err, left, next.Routes)
		}
	}
	if promotedSome < 500 {
		t.Errorf("only %d routes were promoted", promotedSome)
	}
}

func someRoutes(r *rand.Rand, source string, hosts ...string) (out []egress.Route) {
	for i, host := range hosts {
		if r.IntN(2) == 0 {
			continue
		}
		x := egress.Route{
			Host: host, Port: 443, WebSocket: r.IntN(2) == 0, GitFetch: r.IntN(2) == 0, TLSPassthrough: r.IntN(2) == 0,
			Source: source + " " + strconv.Itoa(i), MaxBody: int64(r.IntN(2)) << 20,
		}
		if r.IntN(2) == 0 {
			x.Auth = &egress.Auth{Scheme: "Bearer", TokenRef: "TOKEN", Header: []string{"", "X-Key"}[r.IntN(2)]}
		}
		if r.IntN(2) == 0 {
			x.Matches = []egress.Match{{Methods: []string{"GET"}, Paths: []string{"/get"}}}
		}
		if source == "bottle" && r.IntN(2) == 0 {
			x.DLP = &egress.DLP{OnMatch: egress.OnMatchBlock, Stream: r.IntN(2) == 0}
			x.SSRFIPAllowlist = []string{"10.1.0.0/16"}
		}
		out = append(out, x)
	}
	return out
}

func liveOf(merged []egress.Route) spec.Live {
	routes, refs := egress.Slots(merged)
	live := spec.Live{Routes: routes, Tokens: map[string]string{}}
	for _, r := range refs {
		live.Tokens[r.Slot] = r.Ref
	}
	return live
}

// rule is what a route does, whatever its slot and where it comes from.
func rule(r egress.Route, tokens map[string]string) egress.Route {
	r = egress.CloneRoutes([]egress.Route{r})[0]
	r.Source, r.Approved = "", nil
	if r.Auth != nil {
		r.Auth.TokenRef, r.Auth.Slot = tokens[r.Auth.Slot], ""
	}
	if r.DLP != nil && *r.DLP == (egress.DLP{}) {
		r.DLP = nil
	}
	return r
}

func TestRouteLines(t *testing.T) {
	r := egress.Route{
		Host: "a.example.com", Port: 8443, MaxBody: 5, TLSPassthrough: true, DLP: &egress.DLP{Stream: true},
		Matches: []egress.Match{{Paths: []string{"/a \"b\": #"}}},
		Auth:    &egress.Auth{Scheme: "raw", TokenRef: `command:["sh","-c","echo \"x\""]`, Query: "key"},
	}
	want := `    # instead of bottle dev.md:6
    - host: "a.example.com"
      port: 8443
      matches: [{paths: ["/a \"b\": #"]}]
      auth: {scheme: raw, token_ref: {command: ["sh", "-c", "echo \"x\""]}, query: "key"}
      pipelock: {tls_passthrough: true}
      max_body: 5
      dlp: {stream: true}
`
	if diff := cmp.Diff(want, routeLines(r, "instead of bottle dev.md:6")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r = egress.Route{Host: "a.example.com", Port: 443, Matches: []egress.Match{{Methods: []string{"GET"}}, {}}}
	if diff := cmp.Diff("    - host: \"a.example.com\"\n", routeLines(r, "")); diff != "" {
		t.Errorf("what allows all (-want +got):\n%s", diff)
	}
}
