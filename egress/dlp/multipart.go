package dlp

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"net/textproto"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// maxParts bounds the parts of one body, those of nested ones included.
const maxParts = 10_000

// multipart searches the parts of a body (RFC 2046, 5.1): each decoded as its
// own header says, and all of them one after another. It splits more leniently
// than servers do, so that no part is seen by a server only.
func (q *search) multipart(body []byte, boundary string, depth int) error {
	if boundary == "" {
		return egress.ErrUndecodable
	}
	if depth > maxDepth {
		return egress.ErrTooDeep
	}
	j := q.join(len(body))
	pieces := bytes.SplitN(body, []byte("--"+boundary), maxParts+2)
	if len(pieces) > maxParts+1 {
		return egress.ErrTooDeep
	}
	at := 0
	for i, p := range pieces {
		start := at
		at += len(p) + len("--") + len(boundary)
		if i == 0 {
			continue // the preamble
		}
		if err := q.part(p, start, j, depth); err != nil {
			return err
		}
	}
	j.search()
	return nil
}

// part searches one part, which begins at plain[start] with the end of the line
// of its boundary.
func (q *search) part(p []byte, start int, j *joint, depth int) error {
	header, body := headerOf(p)
	start += len(p) - len(body)
	body = bytes.TrimSuffix(bytes.TrimSuffix(body, []byte("\n")), []byte("\r"))
	end := start + len(body)
	decoded, changed := body, false
	for _, coding := range header.Values("Content-Transfer-Encoding") {
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "base64":
			decoded, changed = decode64(nil, decoded), true
		case "quoted-printable":
			decoded, changed = unquote(decoded), true
		}
	}
	if codings := header.Values("Content-Encoding"); len(codings) > 0 {
		var err error
		if decoded, err = q.decode(decoded, codings); err != nil {
			return err
		}
		changed = true // its length alone says nothing: that can be arranged
	}
	// The head of zlib is looked for at the beginning of a text only.
	if changed || len(body) > 1 && isZlib(body[0], body[1]) {
		if !q.produce(len(decoded)) {
			return q.err
		}
		if depth == 0 {
			q.inner(decoded, place{depth: 1}, start, end)
		} else {
			q.nowhere(func() { q.layer(decoded, place{depth: 1}) })
		}
	}
	j.add(decoded)
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err == nil && strings.HasPrefix(kind, "multipart/") {
		return q.multipart(decoded, params["boundary"], depth+1)
	}
	return nil
}

// headerOf takes a part apart. A part whose header cannot be read has none.
func headerOf(p []byte) (textproto.MIMEHeader, []byte) {
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		p = p[i+1:] // what is left of the boundary's line
	}
	end, skip := len(p), 0
	for _, sep := range []string{"\r\n\r\n", "\n\n"} {
		if i := bytes.Index(p, []byte(sep)); i >= 0 && i < end {
			end, skip = i, len(sep)
		}
	}
	if skip == 0 || end > 64<<10 {
		return textproto.MIMEHeader{}, p
	}
	head := io.MultiReader(bytes.NewReader(p[:end]), strings.NewReader("\r\n\r\n"))
	header, err := textproto.NewReader(bufio.NewReader(head)).ReadMIMEHeader()
	if err != nil {
		header = textproto.MIMEHeader{}
	}
	return header, p[end+skip:]
}

// unquote undoes quoted-printable (RFC 2045, 6.7), and leaves what is none.
func unquote(src []byte) []byte {
	dst := make([]byte, 0, len(src))
	for i := 0; i < len(src); i++ {
		if src[i] != '=' {
			dst = append(dst, src[i])
			continue
		}
		rest := src[i+1:]
		switch c, n := digits(rest, 0, 2, 2, 16); {
		case n > 0:
			dst = append(dst, c)
			i += n
		case bytes.HasPrefix(rest, []byte("\r\n")):
			i += 2
		case bytes.HasPrefix(rest, []byte("\n")):
			i++
		default:
			dst = append(dst, '=')
		}
	}
	return dst
}
