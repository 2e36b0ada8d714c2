package pipelock

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/bot-bottle/bb/egress"
)

func config(routes ...egress.Route) Config {
	return Config{Version: "2.3.0", Port: 23456, CACert: "/run/bb/pipelock/ca.crt", CAKey: "/run/bb/pipelock/ca.key", Routes: routes}
}

func route(host string, edits ...func(*egress.Route)) egress.Route {
	r := egress.Route{Host: host, Port: 443, Source: "bottle dev.md:4"}
	for _, e := range edits {
		e(&r)
	}
	return r
}

func passed(r *egress.Route)    { r.TLSPassthrough = true }
func tunnelled(r *egress.Route) { r.Tunnel = true }
func port(n int) func(*egress.Route) {
	return func(r *egress.Route) { r.Port = n }
}

func auth(header, query string) func(*egress.Route) {
	return func(r *egress.Route) {
		r.Auth = &egress.Auth{Scheme: "Bearer", Header: header, Query: query, Slot: "EGRESS_TOKEN_0"}
	}
}

func inside(cidrs ...string) func(*egress.Route) {
	return func(r *egress.Route) { r.SSRFIPAllowlist = cidrs }
}

func TestRenderGolden(t *testing.T) {
	for name, routes := range map[string][]egress.Route{
		"plain": {route("b.example.com"), route("a.example.com"), route("a.example.com", port(8443))},
		"full": {
			route("api.example.com", auth("", "")), route("x.example.com", auth("x-api-key", ""), inside("10.1.0.0/16")),
			route("q.example.com", auth("", "key")), route("**.files.example.net"), route("*.cdn.example.net", passed),
			route("provider.example.org", passed, auth("", "")), route("192.0.2.1", port(80)), route("2001:db8::1"),
			route("in.example.com", inside("10.1.0.0/16", "fd12::/16")),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Render(config(routes...))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".yaml")
			if os.Getenv("BB_UPDATE") != "" {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestDomains(t *testing.T) {
	for _, c := range []struct {
		routes        []egress.Route
		hosts, passed []string
		refused       bool
	}{
		{routes: []egress.Route{route("a.example.com", tunnelled), route("b.example.com")}, hosts: []string{"a.example.com", "b.example.com"}, passed: []string{"a.example.com"}},
		{routes: []egress.Route{route("*.example.com"), route("**.example.com")}, hosts: []string{"*.example.com"}, passed: []string{}},
		{routes: []egress.Route{route("a.example.com", passed), route("a.example.com", passed, port(80))}, hosts: []string{"a.example.com"}, passed: []string{"a.example.com"}},
		// An exact host that is passed through, under a wildcard that is not.
		{routes: []egress.Route{route("a.example.com", passed), route("**.example.com")}, hosts: []string{"*.example.com", "a.example.com"}, passed: []string{"a.example.com"}},
		{routes: []egress.Route{route("*.example.com", passed), route("other-example.com")}, hosts: []string{"*.example.com", "other-example.com"}, passed: []string{"*.example.com"}},
		// What bb would look into would be passed through: refused.
		{routes: []egress.Route{route("a.example.com", passed), route("a.example.com", port(8443))}, refused: true},
		{routes: []egress.Route{route("a.example.com", tunnelled), route("a.example.com", port(8443))}, refused: true},
		{routes: []egress.Route{route("*.example.com", passed), route("a.example.com")}, refused: true},
		{routes: []egress.Route{route("*.example.com", passed), route("example.com")}, refused: true},
		{routes: []egress.Route{route("*.example.com", passed), route("b.a.example.com")}, refused: true},
		{routes: []egress.Route{route("*.example.com", passed), route("**.example.com")}, refused: true},
		{routes: []egress.Route{route("*.a.example.com", passed), route("*.example.com")}, refused: true},
		{routes: []egress.Route{route("**.example.com", passed), route("*.a.example.com")}, refused: true},
	} {
		hosts, through, err := domains(c.routes)
		if (err != nil) != c.refused {
			t.Errorf("%v: %v", c.routes, err)
		} else if err == nil {
			if diff := cmp.Diff([][]string{c.hosts, c.passed}, [][]string{hosts, through}); diff != "" {
				t.Errorf("%v: -want +got\n%s", c.routes, diff)
			}
		}
	}
}

// The ranges that are never allowed stay out, whatever a manifest lists: the
// program lets listed addresses through without another look.
func TestInternalRanges(t *testing.T) {
	for _, text := range []string{"10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::/8", "127.0.0.0/8", "169.254.169.254/32", "168.63.0.0/16", "::ffff:127.0.0.0/104", "64:ff9b::/96", "fc00::/7", "127.0.0.1/32"} {
		p := netip.MustParsePrefix(text)
		got := internalRanges([]egress.Route{route("a.example.com", inside(text))})
		for _, out := range got {
			left := netip.MustParsePrefix(out)
			if !p.Overlaps(left) || left.Bits() < p.Bits() {
				t.Errorf("%s became %s", text, out)
			}
			for _, never := range egress.NeverRanges() {
				if never.Overlaps(left) {
					t.Errorf("%s leaves %s, which reaches %s", text, out, never)
				}
			}
		}
		for _, addr := range []string{"10.1.2.3", "8.8.8.8", "fd00:1::1", "fd12::1", "168.63.1.1"} {
			a := netip.MustParseAddr(addr)
			kept := false
			for _, out := range got {
				kept = kept || netip.MustParsePrefix(out).Contains(a)
			}
			if p.Contains(a) != kept {
				t.Errorf("%s: %s is kept: %v", text, addr, kept)
			}
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"major 1":   {Version: "1.5.0", Port: 1, CACert: "c", CAKey: "k"},
		"major 3":   {Version: "3.0.0", Port: 1, CACert: "c", CAKey: "k"},
		"major 22":  {Version: "22.0.0", Port: 1, CACert: "c", CAKey: "k"},
		"none":      {Port: 1, CACert: "c", CAKey: "k"},
		"port":      {Version: "2.0.0", CACert: "c", CAKey: "k"},
		"authority": {Version: "2.0.0", Port: 1, CACert: "c"},
		"no route":  config(),
		"host":      config(route("a.example.com\n  - evil.example.com")),
		"quote":     config(route(`a", "b`)),
	} {
		if out, err := Render(c); err == nil {
			t.Errorf("%s: %s", name, out)
		} else if strings.HasPrefix(name, "major") && !strings.Contains(err.Error(), "for version 2") {
			t.Errorf("%s does not say what is supported: %v", name, err)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]string{
		"pipelock version 2.3.0\n":                                   "2.3.0",
		"pipelock version v2.10.1\n  build date: x\n  git commit: y": "2.10.1",
		"pipelock version 2.3.0-rc.1+abc\n":                          "2.3.0",
		"pipelock version dev\n":                                     "",
		"pipelock version 2\n":                                       "",
		"evil\x1b[2J pipelock version 2.3.0":                         "",
		"pipelock version 2.3.0 or so":                               "",
		"":                                                           "",
	} {
		if got, err := ParseVersion(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// FuzzRender reads what was written back with a YAML reader: no host, header
// or path becomes anything but the value that it is.
func FuzzRender(f *testing.F) {
	f.Add("a.example.com", "X-Api-Key", "10.0.0.0/8", "/dir/ca", 443, true)
	f.Add("*.example.com", "authorization", "fd00::/8", "/d\": x\n- y", 80, false)
	f.Add("**.b", "!#$%&'*+-.^_`|~", "::/0", "\x00\u2028%TAG", 65535, true)
	f.Add("a", "000", "10.9.9.0/8", "\x7f\u0080\ufeff\uffff", 277, true)
	f.Fuzz(func(t *testing.T, host, header, cidr, ca string, port int, through bool) {
		if len(ca) == 0 || strings.ToValidUTF8(ca, "") != ca {
			return // paths are bb's own
		}
		r := egress.Route{Host: host, Port: port, TLSPassthrough: through, SSRFIPAllowlist: []string{cidr}, Source: "x"}
		r.Auth = &egress.Auth{Scheme: "raw", Header: header, Slot: "s"}
		c := Config{Version: "2.0.0", Port: 1024, CACert: ca, CAKey: ca, Routes: []egress.Route{r}}
		out, err := Render(c)
		if err != nil {
			return
		}
		var asJSON, asYAML map[string]any
		if err := json.Unmarshal(out, &asJSON); err != nil {
			t.Fatal(err)
		}
		dec := yaml.NewDecoder(bytes.NewReader(out))
		if err := dec.Decode(&asYAML); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if err := dec.Decode(&asJSON); !errors.Is(err, io.EOF) {
			t.Fatalf("a second document: %v", err)
		}
		yes := []any{}
		if through {
			yes = append(yes, spelled(host))
		}
		tls := map[string]any{"enabled": true, "ca_cert": ca, "ca_key": ca, "passthrough_domains": yes}
		want := map[string]any{
			"version": 1, "mode": "strict", "enforce": true, "api_allowlist": []any{spelled(host)},
			"fetch_proxy":   map[string]any{"listen": "127.0.0.1:1024", "monitoring": map[string]any{"max_requests_per_minute": unbounded}},
			"forward_proxy": map[string]any{"enabled": true, "sni_verification": false}, "tls_interception": tls,
			"request_body_scanning": map[string]any{
				"enabled": true, "action": "block", "scan_headers": true, "header_mode": "all",
				"ignore_headers": []any{r.Auth.HeaderName()},
			},
			"sentry": map[string]any{"enabled": false},
		}
		delete(asYAML, "ssrf") // TestInternalRanges
		if diff := cmp.Diff(want, asYAML); diff != "" {
			t.Errorf("-want +got\n%s\n%s", diff, out)
		}
	})
}
