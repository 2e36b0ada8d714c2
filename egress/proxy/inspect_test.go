package proxy

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

func newSearched(t *testing.T, routes ...egress.Route) *world {
	t.Helper()
	w := newWorldWith(t, Options{Inspector: newSmall}, routes...)
	t.Cleanup(func() { w.logHoldsNothing() })
	return w
}

// logHoldsNothing: whatever was found, the log does not show it.
func (w *world) logHoldsNothing() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	b, _ := json.Marshal(w.entries)
	for _, s := range append([]string{secret, canary, lookalike}, base64Forms(secret)...) {
		if strings.Contains(strings.ToLower(string(b)), strings.ToLower(s)) {
			w.t.Errorf("the log holds %s: %s", s, b)
		}
	}
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

// ways in, by name: scheme and whether the client speaks HTTP/2.
var ways = map[string]struct {
	scheme string
	h2     bool
}{"absolute": {"http", false}, "tunnel h1": {"https", false}, "tunnel h2": {"https", true}}

// places of a request that a text is put in.
var places = map[string]func(r *http.Request, v string){
	"path":          func(r *http.Request, v string) { r.URL.Path += "x/" + v + "/y" },
	"query":         func(r *http.Request, v string) { r.URL.RawQuery = "a=b&q=" + v + "&c" },
	"header":        func(r *http.Request, v string) { r.Header.Set("X-Other", "a "+v+" b") },
	"second header": func(r *http.Request, v string) { r.Header["X-Other"] = []string{"a", v} },
	"header name":   func(r *http.Request, v string) { r.Header.Set("X-"+v, "1") },
	"cookie":        func(r *http.Request, v string) { r.Header.Set("Cookie", "s="+v) },
	"method":        func(r *http.Request, v string) { r.Method = v },
	"host": func(r *http.Request, v string) {
		r.URL.Host = strings.ReplaceAll(v, "_", "-") + ".b.example"
		r.Host = r.URL.Host
	},
	"body":    func(r *http.Request, v string) { r.Body, r.ContentLength = sized(`{"a":"` + v + `","b":1}`) },
	"chunked": func(r *http.Request, v string) { r.Body = inPieces(`{"a":"` + v + `","b":1}`) },
	"gzip": func(r *http.Request, v string) {
		r.Header.Set("Content-Encoding", "GZIP, identity")
		r.Body, r.ContentLength = sized(zipped(`{"a":"` + v + `","b":1}`))
	},
}

func sized(s string) (io.ReadCloser, int64) { return io.NopCloser(strings.NewReader(s)), int64(len(s)) }

// inPieces has no known length, and comes in pieces of seven bytes.
func inPieces(s string) io.ReadCloser { return io.NopCloser(&slowPieces{s}) }

type slowPieces struct{ rest string }

func (p *slowPieces) Read(b []byte) (int, error) {
	if p.rest == "" {
		return 0, io.EOF
	}
	time.Sleep(time.Millisecond)
	n := copy(b[:min(len(b), 7)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Attacks C3, C7, A4: each way in, each place, each action. What is blocked
// opens no connection.
func TestInspect(t *testing.T) {
	values := map[string]struct {
		value string
		known bool
	}{
		"secret": {secret, true}, "canary": {canary, true}, "pattern": {lookalike, false},
		"base64": {strings.TrimRight(base64.URLEncoding.EncodeToString([]byte("x:"+secret)), "="), true},
	}
	rules := map[string]*egress.DLP{
		"default": nil, "redact": {OnMatch: egress.OnMatchRedact}, "patterns": {Patterns: egress.OnMatchRedact},
		"supervise": {OnMatch: egress.OnMatchSupervise},
	}
	for way, how := range ways {
		t.Run(way, func(t *testing.T) {
			now := time.Now()
			w := newWorldWith(t, Options{Inspector: newSmall, Now: func() time.Time { return now }})
			type got struct {
				r    *http.Request
				body string
			}
			arrived := make(chan got, 1000)
			port := 443
			if how.scheme == "http" {
				port = 80
			}
			seen := w.serve(fmt.Sprint(port), how.scheme == "https", func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				arrived <- got{r, string(body)}
			})
			c := w.client(how.h2)
			for rule, dlp := range rules {
				a, b := route("a.example", port), route("*.b.example", port)
				a.DLP, b.DLP = dlp, dlp
				w.policy(a, b)
				for place, put := range places {
					for kind, v := range values {
						now = now.Add(time.Hour) // not what is tested here
						if kind == "base64" && (place == "header name" || place == "host") || kind == "pattern" && place == "host" {
							continue // it cannot be there as it is
						}
						name := rule + "/" + place + "/" + kind
						before := len(seen.paths())
						w.mu.Lock()
						w.dialled, w.asked = nil, nil
						w.mu.Unlock()
						req, _ := http.NewRequest("POST", how.scheme+"://a.example/", nil)
						put(req, v.value)
						res, err := c.Do(req)
						if err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						text, _ := io.ReadAll(res.Body)
						_ = res.Body.Close()
						redacts := dlp != nil && (dlp.OnMatch == egress.OnMatchRedact || !v.known && dlp.Patterns == egress.OnMatchRedact) &&
							place != "host" && place != "method"
						if !redacts {
							if res.StatusCode != 403 && (place != "method" || res.StatusCode != 400) ||
								!strings.HasPrefix(errorOf(t, string(text)), "egress: ") {
								t.Errorf("%s: %s %s", name, res.Status, text)
							}
							if strings.Contains(string(text), v.value) {
								t.Errorf("%s: the answer shows it: %s", name, text)
							}
							if len(seen.paths()) != before || len(w.dialled)+len(w.asked) != 0 {
								t.Errorf("%s: something left: %v %v", name, w.dialled, seen.paths()[before:])
							}
							continue
						}
						if res.StatusCode != 200 {
							t.Errorf("%s: %s %s", name, res.Status, text)
							continue
						}
						g := <-arrived
						all := strings.ToLower(fmt.Sprint(g.r.RequestURI, g.r.Header, g.body))
						if strings.Contains(all, strings.ToLower(v.value)) || !strings.Contains(all, "*****") {
							t.Errorf("%s: upstream got %s", name, all)
						}
						if place == "body" || place == "chunked" || place == "gzip" {
							var v1 struct{ A string }
							if err := json.Unmarshal([]byte(g.body), &v1); err != nil || len(v1.A) != len(v.value) ||
								g.r.ContentLength != int64(len(g.body)) || g.r.Header.Get("Content-Encoding") != "" || len(g.r.TransferEncoding) > 0 {
								t.Errorf("%s: %q %v", name, g.body, g.r.Header)
							}
						}
					}
				}
			}
			w.logHoldsNothing()
		})
	}
}

// What is said: the detector, the rule, the next step; in the log too.
func TestInspectTexts(t *testing.T) {
	supervised := route("s.example", 443)
	supervised.DLP = &egress.DLP{OnMatch: egress.OnMatchSupervise}
	redacted := route("*.r.example", 443)
	redacted.DLP = &egress.DLP{OnMatch: egress.OnMatchRedact}
	w := newSearched(t, route("a.example", 443), supervised, redacted)
	w.serve("443", true, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	c := w.client(true)
	tests := []struct {
		host, header, value, body string
		want                      []string
		detector, verdict, reason string
	}{
		{
			"a.example", "", "", lookalike,
			[]string{"the body holds", "fake token", "bottle dev.md:7", "- host: a.example", "dlp: {on_match: redact}"},
			"fake token", VerdictDenied, "fake token",
		},
		{"a.example", "X-A", secret, "", []string{"the header X-A holds a known value", "canary", "no rule allows it", "drop it from the context, or start a new session"}, "known value", VerdictDenied, "known value"},
		{"s.example", "", "", lookalike, []string{"fake token"}, "fake token", VerdictDenied, "nobody can be asked about it"},
		{"x.r.example", "X-A", secret, lookalike, nil, "known value, fake token", VerdictRedacted, ""},
		{"a.example", "Content-Encoding", "br, zstd", "x", []string{`content coding "br, zstd"`, "without Content-Encoding"}, "", VerdictDenied, "br, zstd"},
		{"a.example", "Content-Encoding", "gzip", zipped(strings.Repeat("x", 9<<20)), []string{"decodes to more"}, "", VerdictDenied, "decodes"},
		{"a.example", "", "", "panic now", []string{"could not be searched"}, "", VerdictDenied, ""},
	}
	for i, tt := range tests {
		var header []string
		if tt.header != "" {
			header = []string{tt.header, tt.value}
		}
		res, text := do(t, c, "POST", "https://"+tt.host+"/", strings.NewReader(tt.body), header...)
		w.logged(i + 1)
		w.mu.Lock()
		e := w.entries[i]
		w.mu.Unlock()
		if e.Verdict != tt.verdict || e.Detector != tt.detector || !strings.Contains(e.Reason, tt.reason) || e.Status != res.StatusCode {
			t.Errorf("%d: logged %+v", i, e)
		}
		if tt.want == nil && res.StatusCode != 200 {
			t.Errorf("%d: %s %s", i, res.Status, text)
		}
		for _, s := range tt.want {
			if !strings.Contains(errorOf(t, text), s) {
				t.Errorf("%d: %q is not in %s", i, s, text)
			}
		}
	}
}

// A login that the agent may have passes, although it looks like a credential;
// a known value in it does not.
func TestKeptLogin(t *testing.T) {
	pass := route("a.example", 443)
	pass.TLSPassthrough = true
	w := newSearched(t, pass)
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	for _, name := range []string{"Authorization", "X-Api-Key", "x_api_key", "Cookie"} {
		res, text := do(t, w.client(false), "GET", "https://a.example/", nil, name, "a "+lookalike)
		if res.StatusCode != 200 || !strings.Contains(fmt.Sprint(seen.last().Header), lookalike) {
			t.Errorf("%s: %s %s", name, res.Status, text)
		}
		if res, _ = do(t, w.client(false), "GET", "https://a.example/", nil, name, "a "+secret); res.StatusCode != 403 {
			t.Errorf("%s with a known value: %s", name, res.Status)
		}
	}
	if res, _ := do(t, w.client(false), "GET", "https://a.example/", nil, "X-Other", lookalike); res.StatusCode != 403 {
		t.Errorf("another header: %s", res.Status)
	}
	pass.TLSPassthrough = false
	w.policy(pass)
	w.proxy.oracle = oracle{}
	if res, _ := do(t, w.client(false), "GET", "https://a.example/", nil, "X-Api-Key", lookalike); res.StatusCode != 403 {
		t.Errorf("without tls_passthrough: %s", res.Status)
	}
}

// A login that the agent may have it may renew: a token endpoint takes it in the
// body. Everywhere else, and on every other route, what looks like a credential
// counts in a body, and a known value does there too.
func TestTokenEndpoint(t *testing.T) {
	pass, auth := route("a.example", 443), authed("a.example", 443)
	pass.TLSPassthrough, auth.TLSPassthrough = true, true
	covers, streams := pass, pass
	covers.DLP, streams.DLP = &egress.DLP{Patterns: egress.OnMatchRedact}, &egress.DLP{Stream: true}
	for name, c := range map[string]struct {
		route              egress.Route
		method, path, body string
		chunked            bool
		want               string // what arrives; "" means 403
	}{
		"kept":              {pass, "POST", "/v1/oauth/token", lookalike, false, lookalike},
		"not covered":       {covers, "POST", "/oauth/token?x=y", lookalike, false, lookalike},
		"streamed":          {streams, "POST", "/token", lookalike, true, lookalike},
		"known":             {pass, "POST", "/oauth/token", secret, false, ""},
		"canary":            {covers, "POST", "/oauth/token", lookalike + " " + canary, false, ""},
		"known, streamed":   {streams, "POST", "/token", lookalike + " " + secret, true, ""},
		"elsewhere":         {pass, "POST", "/oauth/tokens", lookalike, false, ""},
		"below":             {pass, "POST", "/token/x", lookalike, false, ""},
		"part of a segment": {pass, "POST", "/x-token", lookalike, false, ""},
		"encoded slash":     {pass, "POST", "/x%2Ftoken", lookalike, false, ""},
		"in the query":      {pass, "POST", "/x?/token", lookalike, false, ""},
		"another method":    {pass, "PUT", "/oauth/token", lookalike, false, ""},
		"in the query too":  {pass, "POST", "/oauth/token?x=" + lookalike, "x", false, ""},
		"covered elsewhere": {covers, "POST", "/x", lookalike, false, strings.Repeat("*", len(lookalike))},
		"not passed":        {route("a.example", 443), "POST", "/oauth/token", lookalike, false, ""},
		"with auth":         {auth, "POST", "/oauth/token", lookalike, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSearched(t, c.route)
			got := make(chan string, 1)
			w.serve("443", true, func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err == nil {
					got <- string(body)
				}
			})
			body := io.Reader(strings.NewReader(c.body))
			if c.chunked {
				body = io.MultiReader(body)
			}
			res, text := do(t, w.client(true), c.method, "https://a.example"+c.path, body)
			if c.want == "" {
				if res.StatusCode != 403 || len(got) != 0 {
					t.Errorf("%s %s, %d requests arrived", res.Status, text, len(got))
				}
				return
			}
			if res.StatusCode != 200 {
				t.Fatalf("%s %s", res.Status, text)
			}
			if arrived := <-got; arrived != c.want {
				t.Errorf("%q arrived, want %q", arrived, c.want)
			}
		})
	}
}

// A path that was covered may be one that no rule allows, and a covered query
// does not change what is asked for.
func TestCoveredPathIsDecidedAgain(t *testing.T) {
	r := route("a.example", 443)
	r.Matches = []egress.Match{{Paths: []string{"/p/" + lookalike, "/ok"}}}
	r.DLP = &egress.DLP{OnMatch: egress.OnMatchRedact}
	w := newSearched(t, r)
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	if res, text := do(t, w.client(true), "GET", "https://a.example/p/"+lookalike, nil); res.StatusCode != 403 {
		t.Errorf("%s %s", res.Status, text)
	}
	if res, text := do(t, w.client(true), "GET", "https://a.example/ok/%61"+lookalike+"?x=%41", nil); res.StatusCode != 200 {
		t.Errorf("%s %s", res.Status, text)
	}
	if got, want := strings.Join(seen.paths(), " "), "a.example/ok/%61"+strings.Repeat("*", len(lookalike))+"?x=%41"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Headers that would have a body read otherwise than it was searched.
func TestCodingLookAlikes(t *testing.T) {
	w := newSearched(t, route("a.example", 443))
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	do(t, w.client(true), "POST", "https://a.example/", strings.NewReader("x"), "Content_Encoding", "gzip", "content_type", "a/b", "Content-Type", "c/d")
	if h := seen.last().Header; h.Get("Content_Encoding") != "" || h.Get("Content_Type") != "" || h.Get("Content-Type") != "c/d" {
		t.Errorf("%v", h)
	}
	res, text := do(t, w.client(true), "POST", "https://a.example/", strings.NewReader("x"), "Content-Type", "a/b", "Content-Type", "c/d")
	if res.StatusCode != 400 {
		t.Errorf("%s %s", res.Status, text)
	}
}

// What is refused before it is searched shows no secret in the log either.
func TestLogOfRefused(t *testing.T) {
	w := newSearched(t, route("a.example", 443))
	_, _ = w.client(false).Get("https://" + secret + ".example/")
	do(t, w.client(false), "GET", "http://b.example/x/"+secret, nil)
	do(t, w.client(false), "GET", "http://b.example/"+strings.Repeat("x", 290)+secret, nil)
	do(t, w.client(false), "GET", "http://b.example/"+strings.Repeat("x", 1015)+secret, nil)
	do(t, w.client(false), "GET", "http://_egress.local/"+secret, nil)
	w.logged(5)
	w.mu.Lock()
	defer w.mu.Unlock()
	if all := fmt.Sprint(w.entries); strings.Contains(all, secret[:7]) {
		t.Error(all)
	}
}

// The oracle: five answers about known values, then a minute of silence.
func TestOracle(t *testing.T) {
	now := time.Now()
	w := newWorldWith(t, Options{Inspector: newSmall, Now: func() time.Time { return now }}, route("a.example", 80))
	seen := w.serve("80", false, func(http.ResponseWriter, *http.Request) {})
	c := w.client(false)
	ask := func(value string) *http.Response {
		res, _ := do(t, c, "GET", "http://a.example/?q="+value, nil)
		return res
	}
	for i := range 4 {
		if res := ask(secret); res.StatusCode != 403 {
			t.Fatalf("%d: %s", i, res.Status)
		}
	}
	for range 10 {
		ask(lookalike) // no known value: not counted
	}
	now = now.Add(61 * time.Second)
	for i := range 5 { // the four are too old
		if res := ask(secret); res.StatusCode != 403 {
			t.Fatalf("%d: %s", i, res.Status)
		}
	}
	if res := ask("x"); res.StatusCode != 429 || res.Header.Get("Retry-After") != "60" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	now = now.Add(59 * time.Second)
	if res := ask("x"); res.StatusCode != 429 || res.Header.Get("Retry-After") != "1" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	now = now.Add(2 * time.Second)
	if res := ask("x"); res.StatusCode != 200 || len(seen.paths()) != 1 {
		t.Errorf("%s %v", res.Status, seen.paths())
	}
}
