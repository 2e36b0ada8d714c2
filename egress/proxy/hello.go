package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// maxHello bounds a ClientHello, which is 2 KiB with the keys of today.
const maxHello = 32 << 10

// extensionECH is encrypted_client_hello (RFC 9849): the name that is really
// meant may be another one than can be read.
const extensionECH = 0xfe0d

var (
	errHello     = errors.New("read")
	errLongHello = errors.New("the ClientHello is too long")
)

// hello is what the first message of a TLS client says in the clear.
type hello struct {
	name string
	ech  bool
}

// readHello reads a ClientHello and answers nothing. The bytes that it took,
// which may go beyond it, are returned in any case.
func readHello(c net.Conn) (*hello, []byte, error) {
	var seen *hello
	r := &recording{Conn: c}
	err := tls.Server(r, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
			seen = &hello{name: i.ServerName, ech: slices.Contains(i.Extensions, extensionECH)}
			return nil, errHello
		},
	}).Handshake()
	if seen == nil {
		return nil, r.data, err
	}
	return seen, r.data, nil
}

// recording keeps what is read and lets nothing be written.
type recording struct {
	net.Conn
	data []byte
}

func (r *recording) Read(p []byte) (int, error) {
	left := maxHello - len(r.data)
	if left <= 0 {
		return 0, errLongHello
	}
	n, err := r.Conn.Read(p[:min(len(p), left)])
	r.data = append(r.data, p[:n]...)
	return n, err
}

func (r *recording) Write(p []byte) (int, error) { return len(p), nil }

// differs says why a ClientHello may not open a tunnel to host that nobody
// looks into (attacks B2, B7), or "".
func (h *hello) differs(host string) string {
	name := strings.ToLower(h.name)
	switch {
	case h.ech:
		return "egress: the ClientHello is encrypted (ECH), so that its server name cannot be checked"
	case name == "" && net.ParseIP(host) != nil:
		return "" // an address is not sent as a name (RFC 6066, 3)
	case name != host:
		return "egress: the TLS server name differs from the host of the tunnel"
	}
	return ""
}

// host is the one that a client of the transparent port wants, or an error:
// there the name is all that says so.
func (h *hello) host() (string, error) {
	if h.name == "" {
		return "", errors.New("the ClientHello has no server name")
	}
	host, err := egress.CanonicalHost(h.name)
	switch {
	case err != nil:
		return "", err
	case net.ParseIP(host) != nil:
		return "", errors.New("the TLS server name is an address")
	}
	return host, nil
}

// looksLikeHTTP is for a client that speaks plain HTTP where TLS is expected.
func looksLikeHTTP(first []byte) bool {
	method, _, _ := strings.Cut(string(first[:min(5, len(first))]), " ")
	return len(method) > 2 && strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// Alerts in the clear, before anything was answered (RFC 8446, 6.2).
var (
	unrecognizedName = []byte{21, 3, 3, 0, 2, 2, 112}
	internalError    = []byte{21, 3, 3, 0, 2, 2, 80}
)
