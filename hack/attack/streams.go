//go:build linux

package main

import (
	"bytes"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func readSoon(c net.Conn, b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return 0, err
	}
	return c.Read(b)
}

func fields(method, authority, path string) [][2]string {
	return [][2]string{{":method", method}, {":scheme", "https"}, {":authority", authority}, {":path", path}}
}

// streams opens one HTTP/2 connection to a host, sends each request as the
// next stream when the one before was answered, and returns what happened to
// the last.
func streams(host string, requests ...[][2]string) string {
	c, said := tunnel(host+":443", host, "h2")
	if c == nil {
		return said
	}
	defer c.Close()
	if got := c.ConnectionState().NegotiatedProtocol; got != "h2" {
		return "no HTTP/2: " + got
	}
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return failed(err)
	}
	fr := http2.NewFramer(c, c)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := fr.WriteSettings(); err != nil {
		return failed(err)
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for n, request := range requests {
		block.Reset()
		for _, f := range request {
			if err := enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
				return failed(err)
			}
		}
		id := uint32(2*n + 1)
		if err := fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
			return failed(err)
		}
		said = streamEnd(fr, id)
	}
	return said
}

// streamEnd reads until a stream has a status.
func streamEnd(fr *http2.Framer, id uint32) string {
	for {
		frame, err := fr.ReadFrame()
		if err != nil {
			return failed(err)
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamID == id {
				return f.PseudoValue("status") + " on the stream"
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id {
				return "closed: the stream was reset"
			}
		case *http2.GoAwayFrame:
			return "closed: go away"
		}
	}
}

func init() {
	rows["B6"] = func(w *world) []variant {
		ok := fields("GET", w.Loud, "/loud/B6")
		two := func(second [][2]string) func() string { return func() string { return streams(w.Loud, ok, second) } }
		const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		upgrade := []string{"Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"}
		return []variant{
			{"the control: a second stream to the same host", "200", two(fields("GET", w.Loud, "/loud/B6"))},
			{"a second stream to a host that is not listed", "403", two(fields("GET", w.mute("B6"), "/mute/B6"))},
			{"a second stream to another listed host (coalescing)", "403", two(fields("GET", w.Auth, "/mute/B6"))},
			{"a second stream to another port", "403", two(fields("GET", w.Loud+":8443", "/mute/B6"))},
			{"two host fields", "400|closed", two(append(fields("GET", w.Loud, "/mute/B6"), [2]string{"host", w.Loud}, [2]string{"host", w.Auth}))},
			{"no authority", "400|closed", two([][2]string{{":method", "GET"}, {":scheme", "https"}, {":path", "/mute/B6"}})},
			{"a URL as path", "400", two(fields("GET", w.Loud, "https://"+w.mute("B6")+"/mute/B6"))},
			{"CONNECT as a stream", "400|closed", two([][2]string{{":method", "CONNECT"}, {":authority", w.Auth + ":443"}})},
			{"extended CONNECT", "400|closed", two(append(fields("CONNECT", w.Loud, "/mute/B6"), [2]string{":protocol", "websocket"}))},
			{"transfer-encoding on a stream", "400|closed", two(append(fields("POST", w.Loud, "/mute/B6"), [2]string{"transfer-encoding", "chunked"}))},
			{"a request line in a path", "400|closed", two(fields("GET", w.Loud, "/mute/B6 HTTP/1.1\r\nHost: x"))},
			{"h2c by prior knowledge, to the proxy", "400", func() string { return explicit(preface) }},
			{"h2c by prior knowledge, without a proxy", "400|closed", func() string { return plain(httpAddress, preface) }},
			{"h2c by prior knowledge, inside a tunnel", "400|closed", func() string { return through(w.Loud+":443", w.Loud, preface) }},
			{"Upgrade: h2c, plain", "400", func() string { return explicit(get("http://"+w.Loud+"/mute/B6", w.Loud, upgrade...)) }},
			{"Upgrade: h2c, inside a tunnel", "400", func() string { return through(w.Loud+":443", w.Loud, get("/mute/B6", w.Loud, upgrade...)) }},
		}
	}
}
