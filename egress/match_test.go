package egress

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// The most specific host entry alone decides.
func TestFind(t *testing.T) {
	expired := r("x.old.example", "exact, expired")
	expired.Expires = now
	routes := []Route{
		r("**.example", "many"), r("**.deep.example", "many deep"), r("*.example", "one"), r("a.example", "exact"),
		{Host: "a.example", Port: 80, Source: "exact 80"},
		r("192.0.2.1", "address"), r("*.0.2.1", "no"), expired,
	}
	for host, want := range map[string]string{
		"a.example": "exact", "b.example": "one", "a.b.example": "many", "x.deep.example": "many deep",
		"x.y.deep.example": "many deep", "deep.example": "one", "example": "", "aexample": "", "192.0.2.1": "address",
		"a.example.evil": "", "x.old.example": "many",
	} {
		got := ""
		if route := Find(routes, host, 443, now); route != nil {
			got = route.Source
		}
		if got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	if route := Find(routes, "a.example", 80, now); route == nil || route.Source != "exact 80" {
		t.Errorf("port 80: %v", route)
	}
	if route := Find(routes, "b.example", 80, now); route != nil {
		t.Errorf("port 80: %v", route)
	}
	if route := Find(nil, "a.example", 443, now); route != nil {
		t.Error("an empty list allows something") // attack A7
	}
}

// findByLabels is the second reading of Find: longest literal part by labels.
func findByLabels(routes []Route, host string) string {
	labels := strings.Split(host, ".")
	try := []string{host, "*." + strings.Join(labels[1:], ".")}
	for i := 1; i < len(labels); i++ {
		try = append(try, "**."+strings.Join(labels[i:], "."))
	}
	for _, pattern := range try {
		for _, route := range routes {
			if route.Host == pattern {
				return pattern
			}
		}
	}
	return ""
}

func FuzzFind(f *testing.F) {
	f.Add("a.example", "*.example b.example **.example")
	f.Add("a.b.c", "**.c *.b.c a.b.c **.b.c")
	f.Fuzz(func(t *testing.T, host, patterns string) {
		canonical, err := CanonicalHost(host)
		if err != nil || isIP(canonical) || len(patterns) > 500 {
			return
		}
		var routes []Route
		for p := range strings.FieldsSeq(patterns) {
			if c, err := CanonicalPattern(p); err == nil {
				routes = append(routes, r(c, c))
			}
		}
		got := ""
		if route := Find(routes, canonical, 443, now); route != nil {
			got = route.Host
		}
		if want := findByLabels(routes, canonical); got != want {
			t.Fatalf("%q in %q: %q, want %q", canonical, patterns, got, want)
		}
	})
}

// Attack C2.
func TestCanonicalPath(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "/": "/", "/a/b": "/a/b", "/a/": "/a/", "/%61/b%20c": "/a/b c", "/a;x=1/b": "/a;x=1/b",
		"/100%25": "/100%", "/%C3%BC": "/\u00fc", "/.well-known": "/.well-known", "/a..b/..c": "/a..b/..c", "/~a": "/~a",
	} {
		if got, err := CanonicalPath(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"a", "*", "//", "//a", "/a//b", "/.", "/..", "/a/../b", "/a/./b", "/%2e%2e/b", "/.%2E/b", "/a%2fb", "/a%2Fb", "/a\\b",
		"/a%5cb", "/a%00", "/a%0d%0a", "/a\x7f", "/..;x/b", "/.;/b", "/;x/b", "/;", "/a%", "/a%2", "/a%zz", "/%252e%252e/",
		"/a%25%32%65", "/%252%65", "/%2525", "/%c0%af", "/%ff", "/.. /b", "/.../b", "/%2e%2e%3bx/b",
		"/..%20x/b", "/..-/b", "/...c", "/%2e%2e_", "/..%C3%BC", "/a%3fb", "/a%23b", "/a?b", "/%EF%BC%8E%EF%BC%8E/b", "/a%E2%80%A4b",
		"/%E2%80%A5/b", "/\u2026", "/..%C2%A0/b", "/a%C2%A0b",
	} {
		if got, err := CanonicalPath(in); err == nil {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}

var (
	escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	// odd is what the raw text of a path may not hold: a percent that begins no
	// escape, a slash, "?", "#" or backslash that hides, control bytes.
	odd = regexp.MustCompile(`(?i)%([^0-9a-f]|.?$|[0-9a-f][^0-9a-f])|%2f|%5c|%3f|%23|%[01][0-9a-f]|%7f|[\\?#\x00-\x1f\x7f]`)
	// oddSegment is what no part between slashes may be.
	oddSegment = regexp.MustCompile(`^([. ]+(;.*)?|;.*|\.\.[^0-9A-Za-z].*)$|[\x{FF0E}\x{2024}\x{2025}\x{2026}\x{A0}]`)
)

// pathByRegexp is the second implementation that FuzzCanonicalPath compares.
func pathByRegexp(s string) (string, bool) {
	if s == "" {
		return "/", true
	}
	if odd.MatchString(s) || s[0] != '/' {
		return "", false
	}
	decoded, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(decoded) || escape.MatchString(decoded) {
		return "", false
	}
	parts := strings.Split(decoded[1:], "/")
	for i, part := range parts {
		if oddSegment.MatchString(part) || part == "" && i < len(parts)-1 {
			return "", false
		}
	}
	return decoded, true
}

// FuzzCanonicalPath: two readings agree on every path, and one that passes
// means the same to net/url, to a cleaner of paths and to one that decodes twice.
func FuzzCanonicalPath(f *testing.F) {
	for _, s := range []string{"/a/b", "/%61/../b", "/a%2fb", "/..;x/b", "/%252e", "/a/", "//a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := CanonicalPath(s)
		if want, ok := pathByRegexp(s); (err == nil) != ok || ok && got != want {
			t.Fatalf("%q: %q, %v; the second reading is %q, %v", s, got, err, want, ok)
		}
		if err != nil {
			return
		}
		decoded, err := url.PathUnescape(s)
		if err != nil || s != "" && decoded != got {
			t.Fatalf("%q: %q; net/url says %q, %v", s, got, decoded, err)
		}
		if clean := path.Clean(got); clean != strings.TrimSuffix(got, "/") && got != "/" {
			t.Fatalf("%q: %q is cleaned to %q", s, got, clean)
		}
		if twice, err := url.PathUnescape(got); err == nil && twice != got {
			t.Fatalf("%q decodes again, to %q", got, twice)
		}
		if strings.Count(s, "/") != strings.Count(got, "/") && s != "" || strings.ContainsAny(got, "\\\x00\r\n") || !utf8.ValidString(got) {
			t.Fatalf("%q: %q", s, got)
		}
	})
}

func TestAllows(t *testing.T) {
	route := r("a.example", "m")
	route.Matches = []Match{{Methods: []string{"post"}, Paths: []string{"/v1/messages"}}, {Methods: []string{"GET"}, Paths: []string{"/files/", "/x"}}, {Methods: []string{"PUT"}}}
	for in, want := range map[string]Verdict{
		"POST /v1/messages":      {Allowed: true},
		"POST /v1/messages/1":    {Allowed: true},
		"POST /v1/messages2":     {Reason: "the path is not under those of the rule"},
		"post /v1/messages":      {Reason: "the method is not among those of the rule"},
		"GET /files":             {Reason: "the path is not under those of the rule"},
		"GET /files/a":           {Allowed: true},
		"GET /x/%2e%2e/y":        {Malformed: true, Reason: "path has a dot segment"},
		"PUT /x/%2e%2e/y":        {Allowed: true},
		"DELETE /x/../y":         {Reason: "the method is not among those of the rule"},
		"GET /v1/messages":       {Reason: "the path is not under those of the rule"},
		"POST /v1%2fmessages":    {Malformed: true, Reason: "path has an encoded slash"},
		"POST /v%31/%6Dessages/": {Allowed: true},
	} {
		method, p, _ := strings.Cut(in, " ")
		if got := route.Allows(method, p); got != want {
			t.Errorf("%s: %+v", in, got)
		}
	}
}
