package egress

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExplain(t *testing.T) {
	limited := r("a.example", "bottle /home/u/dev.md:7")
	limited.Matches = []Match{{Methods: []string{"GET"}, Paths: []string{"/v1"}}}
	plain := Route{Host: "b.example", Port: 8080, Auth: &Auth{Scheme: "raw"}, Source: "bottle dev.md:9"}
	short := r("d.example", "bottle dev.md:12")
	short.Matches = []Match{{Paths: []string{"/v1", "/a b"}}}
	wild := r("*.e.example", "bottle dev.md:15")
	wild.Matches = short.Matches
	routes := []Route{limited, plain, short, wild}
	tests := []struct{ method, url, want string }{
		{"GET", "https://a.example/v1/x?token=hush", "egress: GET a.example/v1/x is allowed by bottle dev.md:7"},
		{"GET", "https://c.example:8443/x", "egress: GET c.example:8443/x is blocked: no route for c.example:8443; to allow it, the manifest needs:\n" +
			"egress:\n  routes:\n    - host: c.example\n      port: 8443"},
		{"POST", "https://a.example/v1", "egress: POST a.example/v1 is blocked: the method is not among those of the rule (rule: bottle dev.md:7); " +
			"to allow it, the route at dev.md:7 also needs:\negress:\n  routes:\n    - host: a.example\n      matches:\n        - methods: [POST]\n          paths: [/v1]"},
		{"GET", "https://a.example/v1/%2e%2e/x", "egress: GET a.example/v1/%2e%2e/x is blocked: path has a dot segment, and a rule looks at the path (rule: bottle dev.md:7)"},
		{"", "wss://a.example/v1", "egress: GET a.example/v1 is blocked: a WebSocket needs a route that says so (rule: bottle dev.md:7); " +
			"to allow it, the route at dev.md:7 also needs:\negress:\n  routes:\n    - host: a.example\n      matches:\n        - methods: [GET]\n          paths: [/v1]\n      websocket: true"},
		// Lines that validate beside what is there: see #Route.path_allowlist.
		{"GET", "https://d.example/x", "egress: GET d.example/x is blocked: the path is not under those of the rule (rule: bottle dev.md:12); " +
			"to allow it, the route at dev.md:12 also needs:\negress:\n  routes:\n    - host: d.example\n      matches: # in place of path_allowlist\n" +
			"        - paths: [/v1, \"/a b\"]\n        - methods: [GET]\n          paths: [/x]"},
		{"GET", "https://a.e.example/x", "egress: GET a.e.example/x is blocked: the path is not under those of the rule (rule: bottle dev.md:15); " +
			"to allow it, the manifest needs:\negress:\n  routes:\n    - host: a.e.example\n      matches:\n" +
			"        - methods: [GET]\n          paths: [/x]"},
		{"GET", "http://b.example:8080/", "egress: GET b.example:8080/ is blocked: the route injects a credential, which goes over https, " +
			"or over http to port 80 only (rule: bottle dev.md:9)"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, Explain(routes, tt.method, tt.url, now).Text()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.url, diff)
		}
	}
	for _, url := range []string{"", "a.example", "ftp://a.example/", "https://0x7f.1/", "https://a.example:99999/", "https://u:hush@a.example/"} {
		e := Explain(routes, "GET", url, now)
		if e.Allowed || e.Status != 400 || strings.Contains(e.Text(), "hush") || !strings.HasPrefix(e.Text(), "egress: the request is blocked: ") {
			t.Errorf("%q: %+v", url, e)
		}
	}
}

func TestCheckRoutes(t *testing.T) {
	auth := func(a Auth) Route { return r("a.example", "m", func(r *Route) { r.Auth = &a }) }
	for name, routes := range map[string][]Route{
		"upper case": {r("A.example", "m")}, "twice": {r("a.example", "m"), r("a.example", "m")}, "port": {{Host: "a.example"}},
		"all": {r("*", "m")}, "inner star": {r("a.*.example", "m")}, "address wildcard": {r("*.1.2.3", "m")}, "local": {r(LocalHost, "m")},
		"path":          {r("a.example", "m", under("/a/../b"))},
		"network":       {r("a.example", "m", func(r *Route) { r.SSRFIPAllowlist = []string{"10.0.0.1"} })},
		"scheme":        {auth(Auth{Scheme: "Digest", Slot: "S"})},
		"slot":          {auth(Auth{Scheme: "raw"})},
		"header":        {auth(Auth{Scheme: "raw", Slot: "S", Header: "X Y"})},
		"framing":       {auth(Auth{Scheme: "raw", Slot: "S", Header: "content-length"})},
		"query":         {auth(Auth{Scheme: "raw", Slot: "S", Query: "a&b"})},
		"header breaks": {auth(Auth{Scheme: "raw", Slot: "S", Header: "X\r\nY"})},
	} {
		if CheckRoutes(routes) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := CheckRoutes([]Route{r("*.example", "m"), r("a.example", "m"), auth(Auth{Scheme: "Basic", Slot: "S"})}[:2]); err != nil {
		t.Error(err)
	}
}

// A tunnel is not looked into, so a rule that looks is a mistake.
func TestTunnelExcludes(t *testing.T) {
	tunnel := func(change func(*Route)) []Route {
		r := Route{Host: "a.example", Port: 443, Tunnel: true, Source: "m"}
		change(&r)
		return []Route{r}
	}
	for want, change := range map[string]func(*Route){
		"auth":     func(r *Route) { r.Auth = &Auth{Scheme: "raw", Slot: "S"} },
		"matches":  func(r *Route) { r.Matches = []Match{{Methods: []string{"GET"}}} },
		"git":      func(r *Route) { r.GitFetch = true },
		"dlp":      func(r *Route) { r.DLP = &DLP{} },
		"max_body": func(r *Route) { r.MaxBody = 1 },
	} {
		err := CheckRoutes(tunnel(change))
		if err == nil || !strings.Contains(err.Error(), want+" cannot act in a tunnel") {
			t.Errorf("%s: %v", want, err)
		}
	}
	for name, change := range map[string]func(*Route){
		"alone":           func(*Route) {},
		"ssrf":            func(r *Route) { r.SSRFIPAllowlist = []string{"10.0.0.0/8"} },
		"tls_passthrough": func(r *Route) { r.TLSPassthrough = true },
		"websocket":       func(r *Route) { r.WebSocket = true },
	} {
		if err := CheckRoutes(tunnel(change)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExplainTunnel(t *testing.T) {
	routes := []Route{{Host: "a.example", Port: 443, Tunnel: true, Source: "bottle dev.md:7"}, {Host: "b.example", Port: 80, Tunnel: true, Source: "m"}}
	tests := []struct{ method, url, want string }{
		{"GET", "https://a.example/x", "egress: GET a.example/x is allowed by bottle dev.md:7, not inspected"},
		// What nobody sees nobody can refuse: to say otherwise would be a lie.
		{"POST", "https://a.example/r.git/git-receive-pack", "egress: POST a.example/r.git/git-receive-pack is allowed by bottle dev.md:7, not inspected"},
		{"GET", "wss://a.example/x", "egress: GET a.example/x is allowed by bottle dev.md:7, not inspected"},
		{"GET", "http://b.example/", "egress: GET b.example:80/ is blocked: the route is a tunnel, which carries TLS only; use https (rule: m)"},
		{"GET", "http://a.example:443/", "egress: GET a.example/ is blocked: the route is a tunnel, which carries TLS only; use https (rule: bottle dev.md:7)"},
	}
	for _, tt := range tests {
		e := Explain(routes, tt.method, tt.url, now)
		if diff := cmp.Diff(tt.want, e.Text()); diff != "" || e.Allowed && e.Reason != "allowed, not inspected" {
			t.Errorf("%s: %q (-want +got):\n%s", tt.url, e.Reason, diff)
		}
	}
}

func TestNames(t *testing.T) {
	over := Route{Host: "old.example", Port: 443, Expires: now}
	routes := []Route{{Host: "a.example", Port: 8443}, {Host: "*.b.example", Port: 443}, {Host: "**.c.example", Port: 80}, over, {Host: "192.0.2.1", Port: 443}}
	for host, want := range map[string]bool{
		"a.example": true, "x.a.example": false, "b.example": false, "x.b.example": true, "x.y.b.example": false,
		"c.example": false, "x.y.c.example": true, "old.example": false, "evil-b.example": false, "xb.example": false,
		"a.example.evil.test": false, "": false,
	} {
		if Names(routes, host, now) != want {
			t.Errorf("%s: %t", host, !want)
		}
	}
}

// A log keeps the sentence without the lines to add.
func TestSentence(t *testing.T) {
	e := Explain(nil, "GET", "https://a.example/x", now)
	want := "egress: GET a.example/x is blocked: no route for a.example:443"
	if got := e.Sentence(); got != want || e.Text() != want+"; to allow it, the manifest needs:\n"+e.Add || e.Add == "" {
		t.Errorf("%q, %q", got, e.Text())
	}
}

func TestFramingLookAlike(t *testing.T) {
	for name, want := range map[string]bool{
		"Transfer_Encoding": true, "content_length": true, "PROXY_CONNECTION": true, "Keep_Alive": true,
		"Transfer-Encoding": false, "X_Api_Key": false, "Content_Type": false, "Te": false, "_": false,
	} {
		if FramingLookAlike(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	auth := Auth{Scheme: "raw", Slot: "S", Header: "content_length"}
	if auth.check() == nil {
		t.Error("a credential may go into content_length")
	}
}
