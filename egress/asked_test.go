package egress

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// An agent's path reads the same to a person as to the sidecar, and as nothing
// else: no words of bb's fit into it.
func TestAskedPaths(t *testing.T) {
	ask := func(paths ...string) error {
		return CheckAsked(Route{Host: "a.example.com", Port: 443, Source: SourceAsked, Matches: []Match{{Paths: paths}}})
	}
	for _, p := range []string{"/", "/v1/a-b_c.d~e", "/a:b@c;d=1,2!$&'()*+", "/a%20b", "/%C3%A9", "/x,/y"} {
		if err := ask(p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	for p, want := range map[string]string{
		"/ [already allowed, GET only]: routine refresh": "write %20",
		"/x, /y":                        "write %20",
		"/a[b]":                         "write %5B",
		"/\"x":                          "write %22",
		"/%61dmin":                      "write a for %61",
		"/a%2Db":                        "write - for %2D",
		"/caf\u00e9":                    "write %C3",
		"/a\u202eb":                     "write %E2",
		"/a\tb":                         "write %09",
		"/%":                            "bad percent",
		"/a/../b":                       "dot segment",
		"x":                             "slash",
		"/" + strings.Repeat("a", 1024): "at most 1024 bytes",
	} {
		if err := ask(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", p, err, want)
		}
	}
	var many []string
	for c := 'a'; c < 'f'; c++ {
		many = append(many, "/"+strings.Repeat(string(c), 1000))
	}
	if err := ask(many...); err == nil || !strings.Contains(err.Error(), "all together 4096") {
		t.Errorf("5000 bytes: %v", err)
	}
	if err := ask(many[:4]...); err != nil {
		t.Errorf("4000 bytes: %v", err)
	}
}

// A sidecar that somebody broke into tells the host nothing that no agent could
// have asked.
func TestProposalIsChecked(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := map[string]Proposal{
		"route": {Kind: ProposeRoute, Reason: "r", Route: &Route{Host: "a.example.com", Port: 443, Source: SourceAsked, Matches: []Match{{Methods: []string{"GET"}, Paths: []string{"/a"}}}}},
		"image": {Kind: ProposeCapability, Dockerfile: "FROM x"},
		"value": {Kind: ProposeValue, Held: &HeldValue{Host: "a.example.com", Port: 443, Method: "POST", Path: "/x", Place: "the body", Detector: "key", Digests: []string{strings.Repeat("0f", 32)}}},
		"push":  {Kind: ProposePush, Push: &PushNotice{Remote: "origin", Ref: "refs/heads/x", Reason: "r", More: 3}},
	}
	copied := func(kind string) Proposal {
		b, err := json.Marshal(good[kind])
		if err != nil {
			t.Fatal(err)
		}
		var p Proposal
		if err := json.Unmarshal(b, &p); err != nil {
			t.Fatal(err)
		}
		p.ID, p.Created = "0123456789abcdef", created
		return p
	}
	for kind := range good {
		if err := copied(kind).Check(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for name, tt := range map[string]struct {
		kind string
		edit func(*Proposal)
	}{
		"no id":               {"route", func(p *Proposal) { p.ID = "" }},
		"a short id":          {"route", func(p *Proposal) { p.ID = "0123" }},
		"an id of words":      {"route", func(p *Proposal) { p.ID = "../../../../../x" }},
		"no time":             {"route", func(p *Proposal) { p.Created = time.Time{} }},
		"a far time":          {"route", func(p *Proposal) { p.Created = created.AddDate(7990, 0, 0) }},
		"a far end":           {"route", func(p *Proposal) { p.Expires = created.AddDate(7990, 0, 0) }},
		"an unknown kind":     {"route", func(p *Proposal) { p.Kind = "login" }},
		"two things":          {"route", func(p *Proposal) { p.Dockerfile = "FROM x" }},
		"another thing":       {"route", func(p *Proposal) { p.Kind = ProposeValue }},
		"nothing":             {"image", func(p *Proposal) { p.Dockerfile = "" }},
		"a long reason":       {"route", func(p *Proposal) { p.Reason = strings.Repeat("x", MaxReason+1) }},
		"a long file":         {"image", func(p *Proposal) { p.Dockerfile = strings.Repeat("x", MaxProposalText+1) }},
		"a wildcard":          {"route", func(p *Proposal) { p.Route.Host = "**.example.com" }},
		"a host of words":     {"route", func(p *Proposal) { p.Route.Host = "a b" }},
		"a login":             {"route", func(p *Proposal) { p.Route.Auth = &Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"} }},
		"a network":           {"route", func(p *Proposal) { p.Route.SSRFIPAllowlist = []string{"0.0.0.0/0"} }},
		"an end of its own":   {"route", func(p *Proposal) { p.Route.Expires = created }},
		"a tunnel":            {"route", func(p *Proposal) { p.Route.Tunnel = true }},
		"a source of words":   {"route", func(p *Proposal) { p.Route.Source = "bottle dev.md:4" }},
		"a method of words":   {"route", func(p *Proposal) { p.Route.Matches[0].Methods = []string{"GET [harmless]"} }},
		"a lower case method": {"route", func(p *Proposal) { p.Route.Matches[0].Methods = []string{"get"} }},
		"many methods":        {"route", func(p *Proposal) { p.Route.Matches[0].Methods = strings.Split(strings.Repeat("GET ", 17), " ")[:17] }},
		"a path of words":     {"route", func(p *Proposal) { p.Route.Matches[0].Paths = []string{"/ [harmless]"} }},
		"two lists":           {"route", func(p *Proposal) { p.Route.Matches = append(p.Route.Matches, Match{}) }},
		"a value for all":     {"value", func(p *Proposal) { p.Held.Host = "*.example.com" }},
		"no value":            {"value", func(p *Proposal) { p.Held.Digests = nil }},
		"no digest":           {"value", func(p *Proposal) { p.Held.Digests = []string{"x"} }},
		"many values": {"value", func(p *Proposal) {
			p.Held.Digests = strings.Split(strings.Repeat(strings.Repeat("0", 64)+" ", 65), " ")[:65]
		}},
		"a long path":     {"value", func(p *Proposal) { p.Held.Path = strings.Repeat("x", MaxReason+1) }},
		"a long ref":      {"push", func(p *Proposal) { p.Push.Ref = strings.Repeat("x", MaxReason+1) }},
		"fewer than none": {"push", func(p *Proposal) { p.Push.More = -1 }},
	} {
		p := copied(tt.kind)
		tt.edit(&p)
		if err := p.Check(); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}
