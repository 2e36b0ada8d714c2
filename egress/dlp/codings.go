package dlp

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// maxCodings is how many codings one body may have.
const maxCodings = 3

// maxDecoded bounds what one body is decoded to: all of it is held at once.
const maxDecoded = 32 << 20

// decoder undoes one content coding (RFC 9110, 8.4.1; RFC 7932; RFC 8878). The
// reader fails on data that goes on after the end of the coded one.
func decoder(coding string, in *bytes.Reader) (io.Reader, error) {
	switch coding {
	case "gzip", "x-gzip":
		return gzip.NewReader(in)
	case "deflate":
		// RFC 9110 means zlib; some send deflate without its head.
		head := make([]byte, 2)
		if _, err := in.ReadAt(head, 0); err == nil && isZlib(head[0], head[1]) {
			if r, err := zlib.NewReader(in); err == nil {
				return &whole{r, in}, nil
			}
			_, _ = in.Seek(0, io.SeekStart)
		}
		return &whole{flate.NewReader(in), in}, nil
	case "br":
		return newBrotli(in), nil
	case "zstd":
		d, err := newZstd(in)
		if err != nil {
			return nil, err
		}
		return closeAtEnd{d.IOReadCloser()}, nil
	}
	return nil, egress.ErrUndecodable
}

// whole fails where its input goes on after the coded data: a place that no
// decoder shows.
type whole struct {
	io.Reader
	in *bytes.Reader
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if errors.Is(err, io.EOF) && w.in.Len() > 0 {
		err = egress.ErrUndecodable
	}
	return n, err
}

// closeAtEnd lets go of a decoder when it ends.
type closeAtEnd struct{ io.ReadCloser }

func (c closeAtEnd) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil {
		c.Close()
	}
	return n, err
}

// decode undoes codings, which were applied in their order.
func (q *search) decode(data []byte, codings []string) ([]byte, error) {
	codings = named(codings)
	if len(codings) > maxCodings {
		return nil, egress.ErrTooDeep
	}
	for i := len(codings) - 1; i >= 0 && len(data) > 0; i-- {
		if !q.spend(decoderWork) {
			return nil, q.err
		}
		r, err := decoder(codings[i], bytes.NewReader(data))
		if err != nil {
			return nil, egress.ErrUndecodable
		}
		out, err := q.fill(r, make([]byte, 0, max(512, len(data))), maxDecoded+1)
		if c, ok := r.(closeAtEnd); ok {
			c.Close()
		}
		if q.err != nil {
			return nil, q.err
		}
		if len(out) > maxDecoded {
			return nil, egress.ErrTooDeep
		}
		if !errors.Is(err, io.EOF) {
			return nil, egress.ErrUndecodable
		}
		data = out
	}
	return data, nil
}

// named are the codings that do something, each by itself and in lower case,
// whatever the caller left.
func named(codings []string) (list []string) {
	for _, c := range codings {
		for one := range strings.SplitSeq(c, ",") {
			if one = strings.ToLower(strings.TrimSpace(one)); one != "" && one != "identity" {
				list = append(list, one)
			}
		}
	}
	return list
}
