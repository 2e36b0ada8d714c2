package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

// agentFrame is one of an agent's.
func agentFrame(opcode byte, fin bool, payload string) string {
	f := clientFrame{fin: fin, opcode: opcode, length: uint64(len(payload)), key: [4]byte{1, 2, 3, 4}}
	data := []byte(payload)
	mask(data, f.key, 0)
	return string(appendClientFrame(nil, f)) + string(data)
}

// unframe reads one frame of either side.
func unframe(r io.Reader) (opcode byte, fin bool, payload string, err error) {
	var head [14]byte
	if _, err = io.ReadFull(r, head[:2]); err != nil {
		return 0, false, "", err
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		_, err = io.ReadFull(r, head[2:4])
		n = uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		_, err = io.ReadFull(r, head[2:10])
		n = binary.BigEndian.Uint64(head[2:])
	}
	var key [4]byte
	if head[1]&0x80 != 0 && err == nil {
		_, err = io.ReadFull(r, key[:])
	}
	data := make([]byte, n)
	if err == nil {
		_, err = io.ReadFull(r, data)
	}
	mask(data, key, 0)
	return head[0] & 0x0f, head[0]&0x80 != 0, string(data), err
}

// repeats sends each frame back as a server does.
func repeats(got chan<- string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Upgrade", "websocket")
		rw.Header().Set("Connection", "Upgrade")
		if r.Header.Get("Sec-Websocket-Extensions") != "" || r.URL.RawQuery == "extend" {
			rw.Header().Set("Sec-WebSocket-Extensions", "permessage-deflate")
		}
		rw.WriteHeader(http.StatusSwitchingProtocols)
		c, brw, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		for {
			opcode, fin, payload, err := unframe(brw)
			if err != nil {
				got <- "end"
				return
			}
			got <- fmt.Sprintf("%x %v %s", opcode, fin, payload)
			first := opcode
			if fin {
				first |= 0x80
			}
			head := binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(len(payload)))
			_, _ = c.Write(append(head, payload...))
		}
	}
}

func searchedSocketRoute(dlp *egress.DLP) egress.Route {
	r := socket("a.example")
	r.DLP = dlp
	return r
}

const extended = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"

func TestSocketMessages(t *testing.T) {
	redact := &egress.DLP{OnMatch: egress.OnMatchRedact}
	stars := strings.Repeat("*", len(lookalike))
	large := strings.Repeat("x", 3<<20)
	tests := map[string]struct {
		dlp  *egress.DLP
		send string
		want []string // at the upstream
		code uint16   // of the close frame, or 0
		log  string   // verdict and detector
	}{
		"one":                {nil, agentFrame(1, true, "hello"), []string{"1 true hello"}, 0, "allowed "},
		"empty":              {nil, agentFrame(2, true, ""), []string{"2 true "}, 0, "allowed "},
		"fragments":          {nil, agentFrame(1, false, "he") + agentFrame(9, true, "ping") + agentFrame(0, false, "") + agentFrame(0, true, "llo"), []string{"9 true ping", "1 true hello"}, 0, "allowed "},
		"middle":             {nil, agentFrame(1, true, strings.Repeat("m", 70000)), []string{"1 true " + strings.Repeat("m", 70000)}, 0, "allowed "},
		"close":              {nil, agentFrame(8, true, "\x03\xe8") + agentFrame(1, true, "after"), []string{"8 true \x03\xe8"}, 0, "allowed "},
		"secret":             {nil, agentFrame(1, true, "a "+secret), nil, closePolicy, "cut known value"},
		"after":              {nil, agentFrame(1, true, "fine") + agentFrame(1, true, secret), []string{"1 true fine"}, closePolicy, "cut known value"},
		"split":              {nil, agentFrame(1, false, secret[:9]) + agentFrame(10, true, "") + agentFrame(0, true, secret[9:]), []string{"a true "}, closePolicy, "cut known value"},
		"in a ping":          {redact, agentFrame(9, true, lookalike), nil, closePolicy, "cut fake token"},
		"in a close":         {nil, agentFrame(8, true, "\x03\xe8"+secret), nil, closePolicy, "cut known value"},
		"redacted":           {redact, agentFrame(1, false, "a "+lookalike[:5]) + agentFrame(0, true, lookalike[5:]+" b"), []string{"1 true a " + stars + " b"}, 0, "redacted fake token"},
		"too large":          {nil, agentFrame(2, true, strings.Repeat("x", egress.MaxWhole+1))[:100], nil, closeTooBig, "cut "},
		"too large in parts": {nil, agentFrame(2, false, large) + agentFrame(0, false, large) + agentFrame(0, true, large), nil, closeTooBig, "cut "},
		"unmasked":           {nil, "\x81\x05hello", nil, closeProtocol, "cut "},
		"reserved bit":       {nil, "\xc1\x80\x00\x00\x00\x00", nil, closeProtocol, "cut "},
		"reserved opcode":    {nil, "\x83\x80\x00\x00\x00\x00", nil, closeProtocol, "cut "},
		"long control":       {nil, "\x89\xfe\x00\x80", nil, closeProtocol, "cut "},
		"control in parts":   {nil, agentFrame(9, false, "x"), nil, closeProtocol, "cut "},
		"padded length":      {nil, "\x81\xfe\x00\x05\x00\x00\x00\x00hello", nil, closeProtocol, "cut "},
		"negative length":    {nil, "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", nil, closeProtocol, "cut "},
		"no beginning":       {nil, agentFrame(0, true, "x"), nil, closeProtocol, "cut "},
		"two beginnings":     {nil, agentFrame(1, false, "x") + agentFrame(1, true, "y"), nil, closeProtocol, "cut "},
		"not searchable":     {nil, agentFrame(1, true, "panic now"), nil, closePolicy, "cut "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newSearched(t, searchedSocketRoute(tt.dlp))
			got := make(chan string, 100)
			seen := w.serve("443", true, repeats(got))
			br, c, res := w.upgrade(extended)
			if res.StatusCode != 101 || seen.last().Header.Get("Sec-Websocket-Extensions") != "" || res.Header.Get("Sec-Websocket-Extensions") != "" {
				t.Fatalf("%s %v", res.Status, seen.last().Header)
			}
			// Odd pieces: heads come apart too.
			rest := tt.send
			for _, n := range []int{1, 1, 3, 7, 100} {
				n = min(n, len(rest))
				_, _ = io.WriteString(c, rest[:n])
				rest = rest[n:]
			}
			go io.WriteString(c, rest) //nolint:errcheck // the proxy may hang up
			for _, want := range tt.want {
				select {
				case g := <-got:
					if diff := cmp.Diff(want, g); diff != "" {
						t.Fatal(diff)
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("the upstream did not get %.40q", want)
				}
			}
			for i := 0; i < len(tt.want) && tt.code == 0; i++ { // it comes back
				if _, _, _, err := unframe(br); err != nil {
					t.Fatal(err)
				}
			}
			if tt.code != 0 {
				if code := lastWords(br); code != tt.code {
					t.Errorf("close code %d, want %d", code, tt.code)
				}
				if g := <-got; g != "end" {
					t.Errorf("the upstream got %.60q", g)
				}
			}
			_ = c.(io.Closer).Close()
			w.logged(1)
			w.mu.Lock()
			defer w.mu.Unlock()
			if e := w.entries[0]; e.Verdict+" "+e.Detector != tt.log || e.Status != 101 {
				t.Errorf("logged %+v", e)
			}
		})
	}
}

// A large message of a route that streams is searched as it passes.
func TestSocketStreams(t *testing.T) {
	large := strings.Repeat("x", 3<<20)
	for send, want := range map[string]string{
		agentFrame(2, true, large+"end"):                                         large + "end",
		agentFrame(2, false, large+secret[:5]) + agentFrame(0, true, secret[5:]): "",
	} {
		w := newSearched(t, searchedSocketRoute(&egress.DLP{Stream: true}))
		got := make(chan string, 100)
		w.serve("443", true, repeats(got))
		br, c, _ := w.upgrade(extended)
		go io.WriteString(c, send) //nolint:errcheck // the proxy may hang up
		code := make(chan uint16, 1)
		go func() { code <- lastWords(br) }()
		var all string
		for g := ""; g != "end" && !strings.Contains(g, "true"); {
			g = <-got
			if _, payload, ok := strings.Cut(g, "e "); ok {
				all += payload
			}
		}
		if want != "" {
			if all != want {
				t.Errorf("%d bytes arrived", len(all))
			}
			_ = c.(io.Closer).Close()
		} else if n := <-code; n != closePolicy || strings.Trim(all, "x") != "" || all == "" {
			t.Errorf("code %d, %d bytes arrived", n, len(all))
		}
		w.used(0)
	}
}

// lastWords reads up to a close frame and returns its code.
func lastWords(r io.Reader) uint16 {
	for {
		opcode, _, payload, err := unframe(r)
		if err != nil {
			return 0
		}
		if opcode == opClose && len(payload) >= 2 {
			return binary.BigEndian.Uint16([]byte(payload))
		}
	}
}

// An extension that nobody asked for would compress frames.
func TestSocketExtension(t *testing.T) {
	w := newSearched(t, searchedSocketRoute(nil))
	w.serve("443", true, repeats(make(chan string, 9)))
	_, _, res := w.upgrade(strings.Replace(extended, "/ws", "/ws?extend", 1))
	if res.StatusCode != 502 {
		t.Error(res.Status)
	}
}

// A value that a later policy brings is looked for in sockets that are open,
// and a message that hardly comes is given up.
func TestSocketOutlivesPolicy(t *testing.T) {
	w := newSearched(t, searchedSocketRoute(nil))
	w.proxy.limits.window = 300 * time.Millisecond
	got := make(chan string, 9)
	w.serve("443", true, repeats(got))
	br, c, _ := w.upgrade(extended)
	fmt.Fprint(c, agentFrame(1, true, "a-new-value-of-later"))
	<-got
	time.Sleep(700 * time.Millisecond) // quiet, but nothing is held
	doc := document(searchedSocketRoute(nil))
	doc.UpstreamCA = string(upstreamCA().CertPEM())
	doc.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: "a-new-value-of-later"}
	policy, err := NewPolicy(doc)
	if err != nil {
		t.Fatal(err)
	}
	w.proxy.SetPolicy(policy)
	fmt.Fprint(c, agentFrame(1, true, "a-new-value-of-later"))
	if code := lastWords(br); code != closePolicy {
		t.Errorf("code %d", code)
	}
	w.policy(searchedSocketRoute(nil))
	br, c, _ = w.upgrade(extended)
	fmt.Fprint(c, agentFrame(1, true, strings.Repeat("half", 4000))[:10000])
	if code := lastWords(br); code != closePolicy {
		t.Errorf("a slow message: code %d", code)
	}
	w.used(0)
}

// FuzzSocket: however bytes come, the upstream gets whole, valid, masked
// frames, and nothing with a value in it.
func FuzzSocket(f *testing.F) {
	f.Add([]byte(agentFrame(1, true, "hello")+agentFrame(9, true, "p")), uint8(3))
	f.Add([]byte(agentFrame(1, false, secret[:9])+agentFrame(0, true, secret[9:])), uint8(1))
	f.Add([]byte(agentFrame(2, true, lookalike)+agentFrame(8, true, "")), uint8(200))
	p, err := New(Options{CA: upstreamCA(), Inspector: newSmall})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = p.Close() })
	r := searchedSocketRoute(&egress.DLP{Patterns: egress.OnMatchRedact})
	doc := document(r)
	doc.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: secret}
	policy, err := NewPolicy(doc)
	if err != nil {
		f.Fatal(err)
	}
	p.SetPolicy(policy)
	f.Fuzz(func(t *testing.T, input []byte, step uint8) {
		var out bytes.Buffer
		x := &exchange{p: p, live: p.live.Load(), w: &recorder{}}
		x.verdict.Route = &x.live.routes[0]
		up := &memory{Buffer: &out}
		s := newSearchedSocket(up, x)
		for rest := input; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			if m, err := s.Write(rest[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
		s.finish()
		if p.bodies.used != 0 {
			t.Fatalf("%d bytes are held", p.bodies.used)
		}
		var all strings.Builder
		for br := bufio.NewReader(&out); ; {
			head, err := br.Peek(1)
			if errors.Is(err, io.EOF) {
				break
			}
			if !validFirst(head[0]) {
				t.Fatalf("a bad frame went out after %q", input)
			}
			_, _, payload, err := unframe(br)
			if err != nil {
				t.Fatalf("half a frame went out after %q", input)
			}
			if len(p.live.Load().inspector.Text(payload, false)) > 0 {
				t.Fatalf("%q went out", payload)
			}
			all.WriteString(payload)
		}
		if all.Len() > len(input) {
			t.Fatal("more went out than came in")
		}
	})
}

type memory struct{ *bytes.Buffer }

func (m *memory) Close() error { return nil }
