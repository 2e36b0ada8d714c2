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
	routes := []Route{limited, plain}
	tests := []struct{ method, url, want string }{
		{"GET", "https://a.example/v1/x?token=hush", "egress: GET a.example/v1/x is allowed by bottle dev.md:7"},
		{"GET", "https://c.example:8443/x", "egress: GET c.example:8443/x is blocked: no route for c.example:8443; to allow it, the manifest needs:\n" +
			"egress:\n  routes:\n    - host: c.example\n      port: 8443"},
		{"POST", "https://a.example/v1", "egress: POST a.example/v1 is blocked: the method is not among those of the rule (rule: bottle dev.md:7); " +
			"to allow it, the manifest needs:\negress:\n  routes:\n    - host: a.example\n      matches:\n        - methods: [POST]\n          paths: [/v1]"},
		{"GET", "https://a.example/v1/%2e%2e/x", "egress: GET a.example/v1/%2e%2e/x is blocked: path has a dot segment, and a rule looks at the path (rule: bottle dev.md:7)"},
		{"", "wss://a.example/v1", "egress: GET a.example/v1 is blocked: a WebSocket needs a route that says so (rule: bottle dev.md:7); " +
			"to allow it, the manifest needs:\negress:\n  routes:\n    - host: a.example\n      matches:\n        - methods: [GET]\n          paths: [/v1]\n      websocket: true"},
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
		"tunnel": {r("a.example", "m", func(r *Route) { r.Tunnel = true })}, "path": {r("a.example", "m", under("/a/../b"))},
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
