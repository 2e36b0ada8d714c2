package proxy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

var (
	errSwitched = errors.New("the upstream switched protocols without being asked")
	errCoding   = errors.New("a Content-Encoding other than gzip, or broken gzip")
)

// wholeBody bounds the answers that are searched before their head goes back.
const wholeBody = 64 << 10

// validators name exact bytes (RFC 9110, 8.8.3; RFC 9530; RFC 3230; RFC 1864).
var validators = []string{"Etag", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5"}

// answered looks at an answer before its head goes back.
func (x *exchange) answered(res *http.Response) error {
	if x.sent != nil {
		x.sent.begun()
	}
	if err := x.up.hopAnswered(x.target.Scheme, res); err != nil {
		return err
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		if err := x.switched(res); err != nil {
			return err
		}
	} else if err := x.screen(res); err != nil {
		return err
	}
	if res.Header["Content-Type"] == nil {
		x.w.Header()["Content-Type"] = nil // or net/http would guess one
	}
	if err := x.noteHop(res); err != nil {
		return err
	}
	if len(res.Trailer) > 0 && x.r.ProtoMajor == 1 {
		res.Header.Del("Content-Length") // HTTP/1.1 has trailers behind chunks only
	}
	res.Status = "" // the upstream's reason phrase is text too
	x.up.redact.header(res.Header)
	return nil
}

// switched lets a granted WebSocket through. Frames of a server are not masked
// (RFC 6455, 5.1), and without extensions not compressed: the credential is
// found in their bytes, and what stands in for it is as long as it was.
func (x *exchange) switched(res *http.Response) error {
	if !x.target.WebSocket || !equalASCII(res.Header.Get("Upgrade"), "websocket") {
		return errSwitched
	}
	m, searched := x.up.redact.bodies(), x.live.inspector != nil
	if m != nil || searched {
		stream, ok := res.Body.(io.ReadWriteCloser)
		if !ok || res.Header["Sec-Websocket-Extensions"] != nil {
			return errSwitched
		}
		if m != nil {
			stream = &maskedStream{newMaskedBody(stream, m, webSocketFrames()), stream}
		}
		if searched {
			x.socket = newSearchedSocket(stream, x)
			stream = x.socket
		}
		res.Body = stream
	}
	x.w.status = res.StatusCode
	return nil
}

// screen takes the credential out of a body (attack D3). What stands in for it
// has its length, so that Content-Length stays true and nothing waits for the
// end of a stream. Validators go with the bytes that they name: from a body of
// at most wholeBody only where something was replaced, since it is searched
// before its head is written; from a longer one always. An answer without a
// body keeps its head.
func (x *exchange) screen(res *http.Response) error {
	m := x.up.redact.bodies()
	if m == nil || !hasBody(x.r.Method, res) {
		return nil
	}
	if err := decode(res); err != nil {
		return err
	}
	body := newMaskedBody(res.Body, m, framesOf(res.Header.Get("Content-Type")))
	res.Body = body
	if !slices.ContainsFunc(validators, func(v string) bool { return res.Header[v] != nil }) {
		return nil
	}
	if 0 < res.ContentLength && res.ContentLength <= wholeBody {
		data, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		_ = body.Close()
		res.Body = io.NopCloser(bytes.NewReader(data))
		if !body.changed {
			return nil
		}
	}
	for _, v := range validators {
		delete(res.Header, v)
	}
	return nil
}

// hasBody follows RFC 9112, 6.3.
func hasBody(method string, res *http.Response) bool {
	return method != http.MethodHead && res.StatusCode >= 200 && res.StatusCode != http.StatusNoContent &&
		res.StatusCode != http.StatusNotModified && res.ContentLength != 0
}

// decode makes the body plain. The agent gets it so: what it may have in gzip
// it may have without (RFC 9110, 12.5.3).
func decode(res *http.Response) error {
	const name = "Content-Encoding"
	codings := codingsOf(res.Header)
	switch {
	case len(codings) == 0:
		return nil
	case len(codings) > 1 || codings[0] != "gzip" && codings[0] != "x-gzip":
		return errCoding
	}
	body := &gzipBody{src: res.Body}
	// The first bytes of an event stream may be long in coming.
	if !strings.HasPrefix(strings.ToLower(res.Header.Get("Content-Type")), "text/event-stream") {
		if err := body.open(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	res.Body, res.ContentLength = body, -1
	delete(res.Header, name)
	delete(res.Header, "Content-Length")
	return nil
}

// gzipBody undoes gzip as it comes. A body of no bytes at all is empty.
type gzipBody struct {
	src io.ReadCloser
	z   *gzip.Reader
}

func (b *gzipBody) open() error {
	z, err := gzip.NewReader(b.src)
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCoding
	}
	b.z = z
	return err
}

func (b *gzipBody) Read(p []byte) (int, error) {
	if b.z == nil {
		if err := b.open(); err != nil {
			return 0, err
		}
	}
	return b.z.Read(p)
}

func (b *gzipBody) Close() error { return b.src.Close() }
