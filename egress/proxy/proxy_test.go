package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

func both(t *testing.T, f func(t *testing.T, h2 bool)) {
	t.Run("h1", func(t *testing.T) { f(t, false) })
	t.Run("h2", func(t *testing.T) { f(t, true) })
}

func TestInjectsOverTLS(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, authed("a.example", 443))
		seen := w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(rw, "%s %s", r.Proto, body)
		})
		res, body := do(t, w.client(h2), "POST", "https://a.example/v1/x?q=a;b&c=%41", strings.NewReader("hello"),
			"Authorization", "Bearer mine", "X-Api-Key", "mine", "X_api_key", "mine", "Cookie", "a=b", "X-Other", "kept")
		if res.StatusCode != 200 || body != "HTTP/2.0 hello" || (res.ProtoMajor == 2) != h2 {
			t.Fatalf("%s %s %q", res.Proto, res.Status, body)
		}
		h := seen.last().Header
		got := map[string]string{"auth": h.Get("Authorization"), "other": h.Get("X-Other"), "ae": h.Get("X-Forwarded-For")}
		want := map[string]string{"auth": "Bearer " + secret, "other": "kept", "ae": ""}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for name := range h {
			if strings.Contains(strings.ToLower(name), "key") || name == "Cookie" {
				t.Errorf("the agent's %s arrived", name)
			}
		}
		if diff := cmp.Diff([]string{"a.example/v1/x?q=a;b&c=%41"}, seen.paths()); diff != "" {
			t.Error(diff)
		}
	})
}

// Attack D1: which logins of the agent arrive on which kind of route.
func TestStrip(t *testing.T) {
	w := newWorld(t)
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	sent := []string{
		"Authorization", "Bearer mine", "Proxy-Authorization", "Basic eDp5", "Cookie", "a=b",
		"X-Api-Key", "k", "Api-Key", "k", "X-Goog-Api-Key", "k", "X-Custom", "k", "X-Extra", "k",
	}
	logins := []string{
		"Private-Token", "Job-Token", "Deploy-Token", "X-Auth-Token", "X-Access-Token", "X-Amz-Security-Token",
		"X-Gitlab-Token", "X-Api-Token",
	}
	more := ""
	for _, name := range append(logins, "Range", "If-Range") {
		for _, spelling := range []string{name, strings.ReplaceAll(strings.ToLower(name), "-", "_")} {
			if !slices.Contains(sent, spelling) {
				sent = append(sent, spelling, "k")
				more += " " + spelling
			}
		}
	}
	plain, pass, auth, passAuth := route("a.example", 443), route("a.example", 443), authed("a.example", 443), authed("a.example", 443)
	pass.TLSPassthrough, passAuth.TLSPassthrough = true, true
	auth.Auth.Header, auth.Strip = "x-custom", []string{"x-extra"}
	tests := map[string]struct {
		route any
		want  string
	}{
		"plain":                     {plain, "Api-Key Cookie X-Api-Key X-Custom X-Extra X-Goog-Api-Key" + more},
		"passthrough":               {pass, "Api-Key Authorization Cookie X-Api-Key X-Custom X-Extra X-Goog-Api-Key" + more},
		"auth in a header":          {auth, "X-Custom"},
		"auth beats the passthough": {passAuth, "Authorization X-Custom X-Extra"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w.policy(asRoute(tt.route))
			do(t, w.client(true), "GET", "https://a.example/", nil, sent...)
			var got []string
			for i := 0; i < len(sent); i += 2 {
				if seen.last().Header.Get(sent[i]) != "" {
					got = append(got, sent[i])
				}
			}
			if diff := cmp.Diff(sortedJoin(strings.Fields(tt.want)), sortedJoin(got)); diff != "" {
				t.Error(diff)
			}
			if v := seen.last().Header.Get("Authorization"); name == "passthrough" && v != "Bearer mine" {
				t.Errorf("the login of the user became %q", v)
			}
		})
	}
}

// A login in the query goes with the credential's own parameter; the rest of a
// query stays byte for byte.
func TestStripQuery(t *testing.T) {
	w := newWorld(t)
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	auth, own := authed("a.example", 443), authed("a.example", 443)
	own.Auth.Query = "key"
	tests := map[string]struct {
		route       egress.Route
		query, want string
	}{
		"all":    {auth, "access_token=1&private_token=1&oauth_token=1&api_key=1&apikey=1", ""},
		"honest": {auth, "key=1&token=2&auth=3&page_token=4&my_api_key=5&x=%41+b&&c", "key=1&token=2&auth=3&page_token=4&my_api_key=5&x=%41+b&&c"},
		"spelt":  {auth, "a=1&access%5Ftoken=1&%61pi_key=1&b=%zz&%zz=1&API_KEY=1", "a=1&b=%zz&%zz=1"},
		"own":    {own, "a=1&key=mine&api_key=1&token=2", "a=1&token=2&key=" + secret},
		"plain":  {route("a.example", 443), "access_token=1&key=2", "access_token=1&key=2"},
	}
	for name, tt := range tests {
		w.policy(tt.route)
		do(t, w.client(false), "GET", "https://a.example/p?"+tt.query, nil)
		if diff := cmp.Diff(tt.want, seen.last().URL.RawQuery); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestSchemes(t *testing.T) {
	w := newWorld(t)
	seen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	for scheme, want := range map[string]string{
		"Bearer": "Bearer " + secret, "token": "token " + secret, "raw": secret,
		"Basic": "Basic c2stdGVzdC0wMTIzNDU2Nzg5YWJjZGVm",
	} {
		r := authed("a.example", 443)
		r.Auth.Scheme = scheme
		w.policy(r)
		do(t, w.client(false), "GET", "https://a.example/", nil)
		if got := seen.last().Header.Get("Authorization"); got != want {
			t.Errorf("%s: %q", scheme, got)
		}
	}
	r := authed("a.example", 443)
	r.Auth.Query = "key"
	w.policy(r)
	do(t, w.client(false), "GET", "https://a.example/p?a=1&key=mine&k%65y=mine&b=2", nil)
	if got, want := seen.last().URL.RawQuery, "a=1&b=2&key="+secret; got != want {
		t.Errorf("query %q, want %q", got, want)
	}
}

// Attack D5: without a value nothing goes out; plain http carries a credential
// to port 80 only.
func TestCredentialNeverMissing(t *testing.T) {
	noSlot := authed("a.example", 443)
	noSlot.Auth.Slot = "EGRESS_TOKEN_9"
	w := newWorld(t, noSlot, authed("b.example", 80), authed("b.example", 8080), route("b.example", 443))
	tlsSeen := w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	plainSeen := w.serve("80", false, func(http.ResponseWriter, *http.Request) {})
	otherSeen := w.serve("8080", false, func(http.ResponseWriter, *http.Request) {})
	tests := []struct {
		url, want string
		status    int
	}{
		{"https://a.example/", "is not set", 502},
		{"http://b.example/", "", 200},
		{"http://b.example:8080/", "goes over https", 403},
		{"http://b.example:443/", "use https", 403},
	}
	for _, tt := range tests {
		res, body := do(t, w.client(true), "GET", tt.url, nil)
		if res.StatusCode != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s", tt.url, res.StatusCode, body)
		}
	}
	if n := len(tlsSeen.paths()) + len(otherSeen.paths()); n != 0 {
		t.Errorf("%d requests went out", n)
	}
	if got := plainSeen.last().Header.Get("Authorization"); got != "Bearer "+secret {
		t.Errorf("on port 80: %q", got)
	}
}

// A server-sent event arrives before the upstream has finished.
func TestStreams(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, route("a.example", 443))
		next := make(chan struct{})
		w.serve("443", true, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/event-stream")
			rw.Header().Set("Trailer", "X-End")
			for i := range 3 {
				fmt.Fprintf(rw, "data: %d\n\n", i)
				_ = http.NewResponseController(rw).Flush()
				<-next
			}
			rw.Header().Set("X-End", "yes")
		})
		res, err := w.client(h2).Get("https://a.example/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		br := bufio.NewReader(res.Body)
		for i := range 3 {
			line, err := br.ReadString('\n')
			if err != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("%q %v", line, err)
			}
			_, _ = br.ReadString('\n')
			next <- struct{}{}
		}
		if _, err := io.ReadAll(br); err != nil || res.Trailer.Get("X-End") != "yes" {
			t.Errorf("trailer %v, %v", res.Trailer, err)
		}
	})
}

func TestContinue(t *testing.T) {
	w := newWorld(t, route("a.example", 80))
	seen := w.serve("80", false, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = rw.Write(body)
	})
	c := w.client(false)
	c.Transport.(*http.Transport).ExpectContinueTimeout = 5 * time.Second
	res, body := do(t, c, "POST", "http://a.example/", strings.NewReader("hello"), "Expect", "100-continue")
	if res.StatusCode != 200 || body != "hello" || len(seen.paths()) != 1 {
		t.Errorf("%s %q", res.Status, body)
	}
	res, body = do(t, c, "POST", "http://b.example/", strings.NewReader("hello"), "Expect", "100-continue")
	if res.StatusCode != 403 {
		t.Errorf("%s %q", res.Status, body)
	}
}

func TestMaxBody(t *testing.T) {
	r := route("a.example", 443)
	r.MaxBody = 10
	w := newWorld(t, r)
	w.serve("443", true, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	both(t, func(t *testing.T, h2 bool) {
		for body, want := range map[string]int{"0123456789": 200, "0123456789a": 413} {
			res, text := do(t, w.client(h2), "POST", "https://a.example/", strings.NewReader(body))
			if res.StatusCode != want {
				t.Errorf("%d bytes: %s %s", len(body), res.Status, text)
			}
			res, text = do(t, w.client(h2), "POST", "https://a.example/", io.MultiReader(strings.NewReader(body)))
			if res.StatusCode != want {
				t.Errorf("%d bytes, no length: %s %s", len(body), res.Status, text)
			}
		}
	})
}

// Attack D3: what an upstream echoes in a head does not reach the agent.
func TestRedactsHeads(t *testing.T) {
	both(t, func(t *testing.T, h2 bool) {
		w := newWorld(t, authed("a.example", 443))
		w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Trailer", "X-Late")
			rw.Header().Set("Link", r.Header.Get("Authorization"))
			rw.WriteHeader(http.StatusEarlyHints)
			rw.Header().Set("X-Echo", r.Header.Get("Authorization"))
			rw.Header().Set("X-"+secret, "1")
			fmt.Fprint(rw, "x")
			rw.Header().Set("X-Late", r.Header.Get("Authorization"))
		})
		res, _ := do(t, w.client(h2), "GET", "https://a.example/", nil)
		if got := res.Header.Get("X-Echo"); got != "Bearer [redacted]" {
			t.Errorf("X-Echo: %q", got)
		}
		if all := fmt.Sprint(res.Header, res.Trailer); strings.Contains(strings.ToLower(all), secret) {
			t.Errorf("the credential came back: %s", all)
		}
		if res.Trailer.Get("X-Late") != "Bearer [redacted]" {
			t.Errorf("trailer: %v", res.Trailer)
		}
	})
}

// Attack C6: the redirect is the agent's to follow, without the credential.
func TestRedirectIsNotFollowed(t *testing.T) {
	w := newWorld(t, authed("a.example", 443))
	seen := w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "https://evil.example/", http.StatusFound)
	})
	res, _ := do(t, w.client(true), "GET", "https://a.example/", nil)
	if res.StatusCode != 302 || len(seen.paths()) != 1 {
		t.Errorf("%s, %v", res.Status, seen.paths())
	}
}

func TestLog(t *testing.T) {
	r := authed("a.example", 443)
	r.Source = "bottle /home/u/.bot-bottle/bottles/dev.md:7"
	w := newWorld(t, r)
	w.serve("443", true, func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		fmt.Fprint(rw, "four")
	})
	do(t, w.client(false), "POST", "https://a.example/p?secret=1", strings.NewReader("abc"))
	w.logged(1)
	_, _ = w.client(false).Get("https://b.example/")
	w.logged(2)
	w.mu.Lock()
	defer w.mu.Unlock()
	if got, want := w.entries[1].Reason, "egress: CONNECT b.example is blocked: no route for b.example:443"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	for i := range w.entries {
		w.entries[i].Time, w.entries[i].Millis, w.entries[i].Reason = time.Time{}, 0, ""
	}
	want := []Entry{
		{
			Host: "a.example", Port: 443, Method: "POST", Path: "/p", Rule: "bottle dev.md:7",
			Verdict: VerdictAllowed, Status: 200, Sent: 3, Received: 4,
		},
		{Host: "b.example", Port: 443, Method: "CONNECT", Verdict: VerdictDenied, Status: 403},
	}
	got := append([]Entry(nil), w.entries...)
	got[1].Received = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
