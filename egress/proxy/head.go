package proxy

import (
	"bytes"
	"errors"
	"net/url"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

const (
	maxHead    = 64 << 10
	maxHeaders = 200
	maxTrailer = 2 << 10
)

// way is how a client came in, which decides what its requests look like.
type way int

const (
	asProxy  way = iota // the explicit proxy: CONNECT, and absolute form
	inTunnel            // inside of TLS: origin form
	onPort80            // the transparent port: origin form
)

// head is what the guard has to know of one request head.
type head struct {
	method, target, host string
	http10               bool
	length               int64
	chunked              bool
	upgrade              bool
}

// headFields are the header lines of a head that frame or address a request.
type headFields struct {
	host, length, coding, upgrade []string
	trailer                       []string
}

// parseHead judges a whole request head, from its first byte to the empty
// line. It is stricter than net/http, and than RFC 9112: whatever two parsers
// are known to frame differently is an error (attack C1).
func parseHead(raw []byte, w way) (head, error) {
	line, rest, _ := bytes.Cut(raw, crlf)
	h, err := parseRequestLine(string(line))
	if err != nil {
		return h, err
	}
	var f headFields
	for n := 0; len(rest) > 2; n++ {
		if n == maxHeaders {
			return h, errors.New("more than 200 header lines")
		}
		line, rest, _ = bytes.Cut(rest, crlf)
		name, value, err := parseField(string(line))
		if err != nil {
			return h, err
		}
		if egress.FramingLookAlike(name) {
			return h, errLookAlike
		}
		f.note(name, value)
	}
	if err := h.frame(&f); err != nil {
		return h, err
	}
	return h, h.address(&f, w)
}

func parseRequestLine(line string) (head, error) {
	method, rest, ok1 := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	h := head{method: method, target: target, http10: version == "HTTP/1.0"}
	switch {
	case !ok1 || !ok2 || strings.Contains(version, " "):
		return h, errors.New("bad request line")
	case version != "HTTP/1.1" && !h.http10:
		return h, errors.New("bad or unsupported HTTP version")
	case len(method) > 32 || !egress.IsToken(method) || method == methodRefused:
		return h, errors.New("bad method")
	}
	return h, checkTarget(target)
}

// checkTarget refuses bytes that no request target has (RFC 9112, 3.2). It is
// applied to HTTP/2 paths too, where a space would reach an HTTP/1.1 upstream.
func checkTarget(target string) error {
	if target == "" {
		return errors.New("empty request target")
	}
	for i := 0; i < len(target); i++ {
		if c := target[i]; c <= 0x20 || c == 0x7f || c == '#' {
			return errors.New("bad byte in the request target")
		}
	}
	return nil
}

// parseField takes one header or trailer line apart. A line that begins with
// white space (obs-fold) has no token before its colon.
func parseField(line string) (string, string, error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !egress.IsToken(name) {
		return "", "", errors.New("bad header line")
	}
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return "", "", errors.New("control byte in a header")
		}
	}
	return name, strings.Trim(value, " \t"), nil
}

func (f *headFields) note(name, value string) {
	switch strings.ToLower(name) {
	case "host":
		f.host = append(f.host, value)
	case "content-length":
		f.length = append(f.length, value)
	case "transfer-encoding":
		f.coding = append(f.coding, value)
	case "upgrade":
		f.upgrade = append(f.upgrade, value)
	case "trailer":
		f.trailer = append(f.trailer, value)
	}
}

// frame decides how the body ends (RFC 9112, 6.3), or that nobody can know.
func (h *head) frame(f *headFields) error {
	switch {
	case len(f.coding) > 0 && len(f.length) > 0:
		return errors.New("Content-Length together with Transfer-Encoding")
	case len(f.length) > 1:
		return errors.New("repeated Content-Length")
	case len(f.coding) > 1 || len(f.coding) == 1 && !equalASCII(f.coding[0], "chunked"):
		return errors.New("a Transfer-Encoding other than chunked")
	case len(f.coding) == 1 && h.http10:
		return errors.New("chunked in HTTP/1.0")
	case len(f.upgrade) > 1:
		return errors.New("repeated Upgrade")
	}
	h.chunked = len(f.coding) == 1
	if len(f.length) == 1 {
		n, err := parseLength(f.length[0])
		if err != nil {
			return err
		}
		h.length = n
	}
	for _, v := range f.trailer {
		for name := range strings.SplitSeq(v, ",") {
			if forbiddenTrailer(strings.TrimSpace(name)) {
				return errors.New("a trailer that would frame or address the request")
			}
		}
	}
	if len(f.upgrade) == 1 {
		protocol := strings.ToLower(f.upgrade[0])
		if strings.Contains(protocol, "h2c") || strings.Contains(protocol, "http/2") {
			return errors.New("upgrade to cleartext HTTP/2") // attack B6
		}
		h.upgrade = true
		if h.chunked || h.length > 0 {
			return errors.New("an upgrade with a body")
		}
	}
	return nil
}

// equalASCII ignores the case of ASCII letters only: strings.EqualFold alone
// takes U+212A for a k.
func equalASCII(s, ascii string) bool { return len(s) == len(ascii) && strings.EqualFold(s, ascii) }

func parseLength(s string) (int64, error) {
	if s == "" || len(s) > 18 {
		return 0, errors.New("bad Content-Length")
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, errors.New("bad Content-Length")
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, nil
}

func forbiddenTrailer(name string) bool {
	switch strings.ToLower(name) {
	case "", "transfer-encoding", "content-length", "trailer", "host", "connection":
		return true
	}
	return egress.FramingLookAlike(name)
}

// address checks the target's form and that Host says the same (attack B9).
func (h *head) address(f *headFields, w way) error {
	if len(f.host) > 1 {
		return errors.New("repeated Host")
	}
	if len(f.host) == 1 {
		h.host = f.host[0]
	}
	if h.method == "CONNECT" {
		return h.addressConnect(len(f.host) == 1, w)
	}
	if len(f.host) == 0 {
		return errors.New("no Host")
	}
	u, err := url.ParseRequestURI(h.target)
	if err != nil {
		return errors.New("bad request target")
	}
	scheme, standard := "http", 80
	if w == inTunnel {
		scheme, standard = "https", 443
	}
	if strings.HasPrefix(h.target, "/") {
		if w == asProxy {
			return errors.New("this is a proxy: the request target must be an absolute URL")
		}
		_, _, err := egress.SplitAuthority(h.host, standard)
		return err
	}
	if u.Scheme != scheme || u.User != nil || u.Opaque != "" {
		return errors.New("the request target must be a plain " + scheme + " URL; https needs CONNECT")
	}
	host, port, err := egress.SplitAuthority(u.Host, standard)
	if err != nil {
		return err
	}
	name, number, err := egress.SplitAuthority(h.host, standard)
	if err != nil {
		return err
	}
	if host != name || port != number {
		return errors.New("the Host differs from the request target")
	}
	return nil
}

// addressConnect lets an HTTP/1.0 CONNECT go without Host: Python before 3.12
// sends it so, and the target alone names the destination.
func (h *head) addressConnect(hasHost bool, w way) error {
	switch w {
	case inTunnel:
		return errors.New("CONNECT inside a tunnel")
	case onPort80:
		return errors.New("CONNECT to port 80, which is not the proxy's")
	}
	if h.length > 0 || h.chunked || h.upgrade {
		return errors.New("CONNECT with a body")
	}
	host, port, err := egress.SplitAuthority(h.target, 0)
	if err != nil {
		return err
	}
	if !hasHost {
		if h.http10 {
			return nil
		}
		return errors.New("no Host")
	}
	name, number, err := egress.SplitAuthority(h.host, port)
	if err != nil {
		return err
	}
	if host != name || port != number {
		return errors.New("the Host differs from the request target")
	}
	return nil
}
