package proxy

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pieces is a body that comes in the given pieces.
type pieces struct{ list [][]byte }

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.list) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.list[0])
	if p.list[0] = p.list[0][n:]; len(p.list[0]) == 0 {
		p.list = p.list[1:]
	}
	return n, nil
}

func (p *pieces) Close() error { return nil }

func cutAt(data []byte, at ...int) *pieces {
	p := &pieces{}
	from := 0
	for _, i := range append(at, len(data)) {
		if i = min(i, len(data)); i > from {
			p.list = append(p.list, data[from:i])
			from = i
		}
	}
	return p
}

// maskWhole is the plain reading of what a masker does: every byte of every
// occurrence of every form is covered, on the whole input at once.
func maskWhole(data []byte, forms []string, filler byte) []byte {
	out := bytes.Clone(data)
	for _, f := range forms {
		for from := 0; ; {
			i := strings.Index(string(data[from:]), f)
			if i < 0 {
				break
			}
			copy(out[from+i:], bytes.Repeat([]byte{filler}, len(f)))
			from += i + 1
		}
	}
	return out
}

func bodyForms(secret, headerValue string) []string {
	var long []string
	for _, f := range formsOf(secret, headerValue) {
		if len(f) >= minForm {
			long = append(long, f)
		}
	}
	return long
}

const odd = `a/b+c"d\e<f>&g'h=` + "\u00fc\U0001f600~"

// How programs show a credential, written down without formsOf.
func TestBodyForms(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	tests := map[string]struct{ secret, text string }{
		"raw":                     {secret, secret},
		"Basic":                   {secret, b64([]byte(secret))},
		"base64 without padding":  {secret, base64.RawStdEncoding.EncodeToString([]byte(secret))},
		"base64 for URLs":         {odd, base64.URLEncoding.EncodeToString([]byte(odd))},
		"base64 of the header":    {secret, b64([]byte("Bearer " + secret))},
		"base64 in JSON":          {odd, strings.ReplaceAll(b64([]byte(odd)), "/", `\/`)},
		"base64 in a URL":         {odd, url.QueryEscape(b64([]byte(odd)))},
		"query":                   {odd, url.QueryEscape(odd)},
		"query, lower":            {odd, `a%2fb%2bc%22d%5ce%3cf%3e%26g%27h%3d%c3%bc%f0%9f%98%80~`},
		"path, safe slash":        {odd, `a/b%2Bc%22d%5Ce%3Cf%3E%26g%27h%3D%C3%BC%F0%9F%98%80~`},
		"path, safe slash, lower": {odd, `a/b%2bc%22d%5ce%3cf%3e%26g%27h%3d%c3%bc%f0%9f%98%80~`},
		"encodeURIComponent":      {odd, `a%2Fb%2Bc%22d%5Ce%3Cf%3E%26g'h%3D%C3%BC%F0%9F%98%80~`},
		"JSON":                    {odd, `a/b+c\"d\\e<f>&g'h=` + "\u00fc\U0001f600~"},
		"JSON of PHP":             {odd, `a\/b+c\"d\\e<f>&g'h=\u00fc\ud83d\ude00~`},
		"JSON of Go":              {odd, `a/b+c\"d\\e\u003cf\u003e\u0026g'h=` + "\u00fc\U0001f600~"},
		"JSON of Python":          {odd, `a/b+c\"d\\e<f>&g'h=\u00fc\ud83d\ude00~`},
		"JSON of .NET":            {odd, `a/b\u002Bc\u0022d\\e\u003Cf\u003E\u0026g\u0027h=\u00FC\uD83D\uDE00~`},
		"HTML":                    {odd, "a/b+c&#34;d\\e&lt;f&gt;&amp;g&#39;h=\u00fc\U0001f600~"},
		"password":                {"user:hunter2hunter2", "hunter2hunter2"},
		"user of GitHub":          {"ghp_0123456789:x-oauth-basic", "ghp_0123456789"},
	}
	for name, tt := range tests {
		m := newRedactor(tt.secret, "Bearer "+tt.secret).bodies()
		in := "a " + tt.text + " z"
		body := newMaskedBody(cutAt([]byte(in)), m, nil)
		out, err := io.ReadAll(body)
		want := "a " + strings.Repeat(string(m.filler), len(tt.text)) + " z"
		if diff := cmp.Diff(want, string(out)); diff != "" || err != nil || !body.changed {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	// Inside a longer base64 text the characters at its edges are shared.
	for lead := range 6 {
		text := b64([]byte(strings.Repeat("x", lead) + secret + "\n"))
		m := newRedactor(secret, secret).bodies()
		out, _ := io.ReadAll(newMaskedBody(cutAt([]byte(text)), m, nil))
		if covered := bytes.Count(out, []byte{m.filler}); covered < len(secret)*8/6-1 {
			t.Errorf("base64 at offset %d: %s", lead, out)
		}
	}
}

// Wherever a form is cut in two, nothing of it gets out, and no byte waits
// that is not the beginning of one.
func TestEverySplit(t *testing.T) {
	for _, s := range []string{secret, odd, "aaaaaaaab", "user:abcabcabcabc"} {
		m := newRedactor(s, "Bearer "+s).bodies()
		forms := bodyForms(s, "Bearer "+s)
		for _, f := range forms {
			in := []byte("x" + f[:3] + f + f[len(f)/2:] + f + "\n")
			want := maskWhole(in, forms, m.filler)
			for i := 1; i < len(in); i++ {
				k := &masker{m: m}
				first := bytes.Clone(in[:i])
				n := k.pass(first, false)
				for j := 0; j < n; j++ {
					if !begins(forms, in[j:i]) {
						continue
					}
					t.Fatalf("%q cut at %d: %d bytes passed, and from %d they may become a form", in, i, n, j)
				}
				if n < i && !begins(forms, in[n:i]) {
					t.Fatalf("%q cut at %d: held %q, which begins no form", in, i, in[n:i])
				}
				second := append(bytes.Clone(k.held), in[i:]...)
				k.pass(second, true)
				if diff := cmp.Diff(want, append(first[:n], second...)); diff != "" {
					t.Fatalf("%q cut at %d: %s", in, i, diff)
				}
			}
		}
	}
}

func begins(forms []string, tail []byte) bool {
	for _, f := range forms {
		if len(f) > len(tail) && strings.HasPrefix(f, string(tail)) {
			return true
		}
	}
	return false
}

// A body that breaks does not give away what was held.
func TestBrokenBody(t *testing.T) {
	r := io.MultiReader(strings.NewReader("x "+secret[:20]), &failing{})
	out, err := io.ReadAll(newMaskedBody(io.NopCloser(r), newRedactor(secret, secret).bodies(), nil))
	if string(out) != "x " || err != io.ErrClosedPipe { //nolint:errorlint // the very error
		t.Errorf("%q %v", out, err)
	}
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// What covers a credential is no part of one, and short ones stay in bodies.
func TestFiller(t *testing.T) {
	for _, s := range []string{"********", "**#x-._~", strings.Repeat("*#x-._~^X0", 3), "[redacted]"} {
		m := newRedactor(s, "token "+s).bodies()
		out, _ := io.ReadAll(newMaskedBody(cutAt([]byte(s+s)), m, nil))
		if strings.Contains(string(out), s) || strings.ContainsRune(s, rune(m.filler)) {
			t.Errorf("%q becomes %q", s, out)
		}
	}
	if newRedactor("1234567", "Bearer 1234567").bodies() != nil {
		t.Error("a secret of 7 bytes is looked for in bodies")
	}
}

func TestFrames(t *testing.T) {
	m := newRedactor(secret, "Bearer "+secret).bodies()
	hidden := strings.Repeat(string(m.filler), len(secret))
	long := strings.Repeat("a", 200) + secret
	longer := strings.Repeat("b", 70000) + secret
	grpc := func(s string) string { return "\x00" + string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }
	tests := map[string]struct {
		frames   func() *frames
		in, want string
		err      error
	}{
		"text":   {webSocketFrames, "\x81\x18" + secret, "\x81\x18" + hidden, nil},
		"medium": {webSocketFrames, "\x82\x7e\x00\xe0" + long, "\x82\x7e\x00\xe0" + strings.ReplaceAll(long, secret, hidden), nil},
		"large": {
			webSocketFrames, "\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x88" + longer,
			"\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x88" + strings.ReplaceAll(longer, secret, hidden), nil,
		},
		"empty, then text": {webSocketFrames, "\x89\x00\x81\x18" + secret + "\x8a\x00", "\x89\x00\x81\x18" + hidden + "\x8a\x00", nil},
		"no frames":        {webSocketFrames, "hello " + secret + "!", "hello " + hidden + "!", nil},
		"masked":           {webSocketFrames, "\x81\x98" + secret, "\x81\x98" + hidden, nil},
		"gRPC":             {grpcFrames, grpc("hi") + grpc("") + grpc(secret), grpc("hi") + grpc("") + grpc(hidden), nil},
		"gRPC, compressed": {grpcFrames, grpc("hi") + "\x01\x00\x00\x00\x01x", grpc("hi"), errFrame},
	}
	for name, tt := range tests {
		for _, step := range []int{1, 2, 7, 1 << 20} {
			body := newMaskedBody(cutAt([]byte(tt.in), every(len(tt.in), step)...), m, tt.frames())
			out, err := io.ReadAll(body)
			if diff := cmp.Diff(tt.want, string(out)); diff != "" || err != tt.err { //nolint:errorlint // the very error
				t.Errorf("%s, step %d: %v %s", name, step, err, diff)
			}
		}
	}
	// The end of a message is not held, though a form begins like it.
	k := &masker{m: m}
	in := "\x81\x03yes"
	if n, err := webSocketFrames().pass(k, []byte(in), false); n != len(in) || err != nil {
		t.Errorf("%d of %d bytes passed, %v", n, len(in), err)
	}
}

func grpcFrames() *frames { return framesOf("application/grpc+proto") }

func every(n, step int) []int {
	var at []int
	for i := step; i < n; i += step {
		at = append(at, i)
	}
	return at
}

// FuzzRedact: however a body is cut up and read, what comes out is what a
// plain search and replace of the whole would make of it.
func FuzzRedact(f *testing.F) {
	f.Add(secret, []byte("x "+secret+" y"), uint64(1))
	f.Add("aaaaaaaa", []byte("aaaaaaaaaaabaaaaaaaaa"), uint64(2))
	f.Add("user:abcabcabc", []byte("user:abcabcabcabcuser:user:abcabcabc"), uint64(3))
	f.Add(odd, []byte(url.QueryEscape(odd)+base64.StdEncoding.EncodeToString([]byte(odd))), uint64(4))
	f.Fuzz(func(t *testing.T, s string, text []byte, seed uint64) {
		if len(s) > 200 || len(text) > 2000 || strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || c == 0x7f }) {
			return
		}
		s += "x"
		m := newRedactor(s, "Bearer "+s).bodies()
		if m == nil {
			return
		}
		forms := bodyForms(s, "Bearer "+s)
		rnd := rand.New(rand.NewPCG(seed, 0))
		in := bytes.Clone(text)
		for range 3 { // or a form would hardly ever occur
			form := forms[rnd.IntN(len(forms))]
			at := rnd.IntN(len(in) + 1)
			in = append(append(bytes.Clone(in[:at]), form[:rnd.IntN(len(form)+1)]...), append([]byte(form), in[at:]...)...)
		}
		var at []int
		for i := 0; i < len(in); {
			i += 1 + rnd.IntN(40)
			at = append(at, i)
		}
		body := newMaskedBody(cutAt(bytes.Clone(in), at...), m, nil)
		var out []byte
		for {
			p := make([]byte, 1+rnd.IntN(2000))
			n, err := body.Read(p)
			out = append(out, p[:n]...)
			if err != nil {
				break
			}
		}
		if diff := cmp.Diff(maskWhole(in, forms, m.filler), out); diff != "" {
			t.Fatalf("secret %q, text %q: %s", s, in, diff)
		}
		for _, form := range forms {
			if bytes.Contains(out, []byte(form)) {
				t.Fatalf("%q is still in %q", form, out)
			}
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	random := make([]byte, 96<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for name, data := range map[string][]byte{
		"json":   []byte(strings.Repeat(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"The quick brown fox"}}`+"\n", 1300)),
		"base64": []byte(base64.StdEncoding.EncodeToString(random)),
	} {
		for _, s := range []string{"12345678", secret, odd} {
			b.Run(fmt.Sprintf("%s/%d", name, len(s)), func(b *testing.B) {
				m := newRedactor(s, "Bearer "+s).bodies()
				buf := make([]byte, 32<<10)
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					body := newMaskedBody(cutAt(data), m, nil)
					for {
						if _, err := body.Read(buf); err != nil {
							break
						}
					}
					if body.changed {
						b.Fatal("clean data was changed")
					}
				}
			})
		}
	}
}
