package proxy

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

// clientHello is the first flight of a client that wants a name.
func clientHello(t *testing.T, cfg *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	go func() {
		_ = tls.Client(a, cfg).Handshake()
		_ = a.Close()
	}()
	defer b.Close()
	head := make([]byte, 5)
	if _, err := io.ReadFull(b, head); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(b, rest); err != nil {
		t.Fatal(err)
	}
	return append(head, rest...)
}

// echConfigs is a list that a client encrypts its ClientHello by; the name in
// the clear is public.
func echConfigs(t *testing.T, public string) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub := key.PublicKey().Bytes()
	var body []byte
	body = append(body, 1)                                       // config id
	body = binary.BigEndian.AppendUint16(body, 0x0020)           // DHKEM(X25519)
	body = binary.BigEndian.AppendUint16(body, uint16(len(pub))) //
	body = append(body, pub...)
	body = append(body, 0, 4, 0, 1, 0, 1) // HKDF-SHA256, AES-128-GCM
	body = append(body, 0, byte(len(public)))
	body = append(body, public...)
	body = append(body, 0, 0)
	cfg := binary.BigEndian.AppendUint16(nil, 0xfe0d)
	cfg = binary.BigEndian.AppendUint16(cfg, uint16(len(body)))
	cfg = append(cfg, body...)
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(cfg))), cfg...)
}

// endless is a ClientHello of 64 KiB.
func endless() []byte {
	record := append([]byte{22, 3, 1, 0x20, 0}, make([]byte, 0x2000)...)
	all := bytes.Repeat(record, 8)
	copy(all[5:], []byte{1, 0, 0xff, 0xff})
	return all
}

// Attacks B2, B5, B7: what opens a tunnel is a ClientHello that names its host
// in the clear. Nothing of any other reaches the outside.
func TestTunnelHellos(t *testing.T) {
	ech := clientHello(t, &tls.Config{ServerName: "evil.example", MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: echConfigs(t, "a.example")})
	if !bytes.Contains(ech, []byte("a.example")) || bytes.Contains(ech, []byte("evil.example")) {
		t.Fatal("the test's ClientHello is not encrypted")
	}
	for name, tt := range map[string]struct {
		first  []byte
		reason string
	}{
		"other name": {clientHello(t, &tls.Config{ServerName: "evil.example"}), "server name differs"},
		"other case": {clientHello(t, &tls.Config{ServerName: "a.example.evil.example"}), "server name differs"},
		"no name":    {clientHello(t, &tls.Config{InsecureSkipVerify: true}), "server name differs"},
		"ECH":        {ech, "ECH"},
		"SSH":        {[]byte("SSH-2.0-x\r\n"), "must be TLS"},
		"HTTP":       {[]byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"), "must be TLS"},
		"not first":  {append([]byte{23, 3, 3, 0, 1, 0}, clientHello(t, &tls.Config{ServerName: "a.example"})...), "must be TLS"},
		"endless":    {endless(), "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tunnelled("a.example", 443))
			p := w.tapped(1, nil)
			c, err := entriesOf["CONNECT"](w, "a.example")
			if err != nil {
				t.Fatal(err)
			}
			go c.Write(tt.first) //nolint:errcheck // it may be hung up on
			got, _ := io.ReadAll(c)
			if e := w.entry(1); e.Verdict != VerdictDenied || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("%q, %+v", got, e)
			}
			if out := <-p.got; len(bytes.Trim(out, "\x00")) != 0 {
				t.Errorf("the outside got %q", out)
			}
		})
	}
	// At port 443 the name is the host: ECH is what is left to refuse.
	w := newWorld(t, tunnelled("a.example", 443))
	c := w.port(443)
	_, _ = c.Write(ech)
	got, _ := io.ReadAll(c)
	if e := w.entry(1); !bytes.Equal(got, unrecognizedName) || !strings.Contains(e.Reason, "ECH") || len(w.dialled) != 0 {
		t.Errorf("%q %+v %v", got, e, w.dialled)
	}
}

// FuzzHello: what is read of any bytes is a beginning of them, of bounded size,
// and a name that passes is the tunnel's own.
func FuzzHello(f *testing.F) {
	for _, cfg := range []*tls.Config{{ServerName: "a.example"}, {ServerName: "evil.example"}, {InsecureSkipVerify: true}} {
		a, b := net.Pipe()
		go func() { _ = tls.Client(a, cfg).Handshake(); _ = a.Close() }()
		first := make([]byte, 4096)
		n, _ := b.Read(first)
		_ = b.Close()
		f.Add(first[:n])
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		h, first, err := readHello(&scripted{in: bytes.NewReader(input), step: 7})
		if !bytes.HasPrefix(input, first) || len(first) > maxHello || (h == nil) == (err == nil) {
			t.Fatalf("%d bytes of %d, %+v, %v", len(first), len(input), h, err)
		}
		if h == nil {
			return
		}
		if why := h.differs("a.example"); why == "" && (h.ech || !strings.EqualFold(h.name, "a.example")) {
			t.Fatalf("%+v passes", h)
		}
		if host, err := h.host(); err == nil {
			if clean, err := egress.CanonicalHost(host); err != nil || clean != host {
				t.Fatalf("host %q of %+v", host, h)
			}
		}
	})
}
