package proxy

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

// awkward has what needs escaping in a URL, and a colon as Basic needs it.
const awkward = "user:p/a+s&s=w%41 ??>>~~ord-0123456789"

// saw is what an upstream got, as it answers it back in every way it can.
func saw(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("X-Target", r.RequestURI)
	rw.Header().Set("X-Authorization", r.Header.Get("Authorization"))
	rw.Header().Set("X-Twice", base64.StdEncoding.EncodeToString([]byte(r.Header.Get("Authorization"))))
	rw.Header().Set("X-Key-Back", r.Header.Get("X-Key"))
	rw.Header().Set("Set-Cookie", "k="+url.QueryEscape(r.Header.Get("X-Key")))
	rw.Header().Set("Location", "https://a.example/next?"+r.URL.RawQuery)
	body := fmt.Sprintf("%s|%v|%s|%q|%s|%s", r.RequestURI, r.Header, r.URL.Query(), r.Header,
		base64.RawURLEncoding.EncodeToString([]byte(r.Header.Get("Authorization"))), awkwardBack(r))
	if r.Header.Get("Upgrade") == "" {
		_, _ = io.WriteString(rw, body)
		return
	}
	rw.Header().Set("Upgrade", "websocket")
	rw.Header().Set("Connection", "Upgrade")
	rw.WriteHeader(http.StatusSwitchingProtocols)
	c, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write(append([]byte{0x81, 0x7e, byte(len(body) >> 8), byte(len(body))}, body...))
}

// awkwardBack is what the service makes of its credential: decoded, and the
// password alone.
func awkwardBack(r *http.Request) string {
	_, value, _ := strings.Cut(r.Header.Get("Authorization"), "Basic ")
	decoded, _ := base64.StdEncoding.DecodeString(value)
	_, password, _ := strings.Cut(string(decoded)+r.URL.Query().Get("key"), ":")
	return string(decoded) + "|" + password + "|" + url.PathEscape(password)
}

// Every scheme in every place, over every transport: the credential arrives
// once and in the right form, the agent's own never does, and nothing of it
// comes back.
func TestCredentialEverywhere(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(awkward))
	for scheme, value := range map[string]string{
		"Bearer": "Bearer " + awkward, "token": "token " + awkward, "Basic": basic, "raw": awkward,
	} {
		for _, carrier := range []struct{ header, query string }{{}, {header: "x-key"}, {header: "X-Key"}, {query: "key"}} {
			r := egress.Route{
				Host: "a.example", Port: 443, WebSocket: true, Source: "bottle dev.md:7",
				Auth: &egress.Auth{Scheme: scheme, Header: carrier.header, Query: carrier.query, Slot: "EGRESS_TOKEN_0"},
			}
			for _, transport := range []string{"HTTP/1.1", "HTTP/2", "WebSocket"} {
				t.Run(fmt.Sprintf("%s%+v/%s", scheme, carrier, transport), func(t *testing.T) {
					w := newWorld(t)
					seen := w.serve("443", true, saw)
					w.holding(awkward, r)
					head, body := w.ask(transport)
					got := seen.last()
					if got == nil {
						t.Fatalf("nothing arrived: %v %s", head, body)
					}
					query, header := "a=1&b=2", r.Auth.HeaderName()
					if carrier.query != "" {
						query += "&key=" + url.QueryEscape(awkward)
					}
					if got.URL.RawQuery != query && (carrier.query != "" || got.URL.RawQuery != "a=1&key=mine&KEY=mine&k%65y=mine&b=2") {
						t.Errorf("the upstream got the query %q", got.URL.RawQuery)
					}
					if header != "" && !slices.Equal(got.Header[header], []string{value}) {
						t.Errorf("the upstream got %q in %s", got.Header[header], header)
					}
					for name, values := range got.Header {
						if name != header && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "ord-01234") }) {
							t.Errorf("the credential is in %s too", name)
						}
						// A header of another name is the agent's to send.
						own := name != "X-Key" && name != "X_key" || header == "X-Key"
						if own && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "mine") }) {
							t.Errorf("the agent's own %s arrived: %q", name, values)
						}
					}
					nothingOf(t, awkward, fmt.Sprint(head), body)
				})
			}
		}
	}
}

// holding is policy with a token of another value.
func (w *world) holding(value string, routes ...egress.Route) {
	w.t.Helper()
	p, err := NewPolicy(egress.Document{
		Version: egress.DocumentVersion, Routes: routes, UpstreamCA: string(upstreamCA().CertPEM()),
		Tokens: map[string]egress.Token{"EGRESS_TOKEN_0": {Value: value, Digest: "d0"}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.proxy.SetPolicy(p)
}

// ask sends a request with logins of the agent's own and returns what came
// back: the head, and the body or a frame.
func (w *world) ask(transport string) (http.Header, string) {
	w.t.Helper()
	const target = "/p?a=1&key=mine&KEY=mine&k%65y=mine&b=2"
	own := []string{"Authorization", "Bearer mine", "X-Key", "mine", "X_Key", "mine", "Cookie", "mine=1", "X-Api-Key", "mine"}
	if transport != "WebSocket" {
		res, body := do(w.t, w.client(transport == "HTTP/2"), "GET", "https://a.example"+target, nil, own...)
		if want := map[string]int{"HTTP/1.1": 1, "HTTP/2": 2}[transport]; res.ProtoMajor != want {
			w.t.Errorf("%s is %s", transport, res.Proto)
		}
		return res.Header, body
	}
	head := strings.Replace(wsHead, "/ws", target, 1)
	for i := 0; i < len(own); i += 2 {
		head = strings.Replace(head, "\r\n\r\n", "\r\n"+own[i]+": "+own[i+1]+"\r\n\r\n", 1)
	}
	br, _, res := w.upgrade(head)
	if res.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatal(res.Status)
	}
	return res.Header, frame(w.t, br)
}

func frame(t *testing.T, br *bufio.Reader) string {
	t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(br, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[2])<<8|int(head[3]))
	if _, err := io.ReadFull(br, body); err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// nothingOf looks for a value in what an agent sees, in forms written down
// without those that the proxy looks for.
func nothingOf(t *testing.T, value string, texts ...string) {
	t.Helper()
	_, password, _ := strings.Cut(value, ":")
	forms := map[string]string{"value": value, "password": password, "form": url.QueryEscape(value), "path": url.PathEscape(password)}
	for name, plain := range map[string]string{"Basic": value, "Bearer header": "Bearer " + value, "Basic header": "Basic " + value} {
		forms[name] = strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(plain)), "=")
		forms[name+" for URLs"] = base64.RawURLEncoding.EncodeToString([]byte(plain))
	}
	for _, text := range texts {
		for name, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("the agent sees the credential (%s) in %q", name, text)
			}
		}
		if strings.Contains(text, "ord-0123456789") {
			t.Errorf("the agent sees the end of the credential in %q", text)
		}
	}
}
