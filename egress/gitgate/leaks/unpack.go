package leaks

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// kind is what a file is by its content. Its name says nothing.
type kind int

const (
	none kind = iota
	zipFile
	tarFile
	gzipData
	bzip2Data
	xzData
	zstdData
	zlibData
	pngFile
	pdfFile
)

var magics = []struct {
	magic string
	kind  kind
}{
	{"PK\x03\x04", zipFile},
	{"PK\x05\x06", zipFile},
	{"\x1f\x8b\x08", gzipData},
	{"BZh", bzip2Data},
	{"\xfd7zXZ\x00", xzData},
	{"\x28\xb5\x2f\xfd", zstdData},
	{"\x89PNG\r\n\x1a\n", pngFile},
	{"%PDF-", pdfFile},
}

func kindOf(data []byte) kind {
	for _, m := range magics {
		if bytes.HasPrefix(data, []byte(m.magic)) {
			return m.kind
		}
	}
	if isTar(data) {
		return tarFile
	}
	// A zip file is read from its end: anything may stand before it.
	if bytes.LastIndex(data[max(0, len(data)-66<<10):], []byte("PK\x05\x06")) >= 0 {
		return zipFile
	}
	return none
}

// isTar checks the sum of the first header (POSIX.1, pax, "ustar Interchange
// Format"): old archives have no magic.
func isTar(data []byte) bool {
	if len(data) < 512 {
		return false
	}
	field := strings.Trim(string(data[148:156]), " \x00")
	want, err := strconv.ParseInt(field, 8, 32)
	if err != nil || want == 0 {
		return false
	}
	sum := int64(8 * ' ')
	for i, c := range data[:512] {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	return sum == want
}

// maxWindow bounds what a stream may ask for, in bytes: xz -9 has this.
const maxWindow = 64 << 20

func open(k kind, data []byte) (io.Reader, error) { return openReader(k, bytes.NewReader(data)) }

func openReader(k kind, in io.Reader) (io.Reader, error) {
	switch k {
	case gzipData:
		return gzip.NewReader(in)
	case bzip2Data:
		return bzip2.NewReader(in), nil
	case zlibData:
		return zlib.NewReader(in)
	case xzData:
		return xz.NewReader(bufio.NewReader(in), maxWindow)
	case zstdData:
		return zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
	}
	return nil, io.ErrUnexpectedEOF
}

// opening is openReader for a zip file, which asks for no error.
func opening(k kind, in io.Reader) io.ReadCloser {
	r, err := openReader(k, in)
	if err != nil {
		r = failing{err}
	}
	return closer{r}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type closer struct{ io.Reader }

func (c closer) Close() error {
	close1(c.Reader)
	return nil
}

// pngTexts gives the compressed texts of an image (PNG specification, 11.3.3):
// zTXt and iTXt. Others can be read as they are.
func pngTexts(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := data[8:]; len(rest) >= 12; {
			n := int64(binary.BigEndian.Uint32(rest))
			kind, body := string(rest[4:8]), rest[8:]
			if n > int64(len(body))-4 {
				return
			}
			body, rest = body[:n], body[n+4:]
			if kind != "zTXt" && kind != "iTXt" && kind != "iCCP" {
				continue
			}
			_, text, _ := bytes.Cut(body, []byte{0})
			if kind == "iTXt" {
				if len(text) < 2 || text[0] == 0 {
					continue
				}
				_, text, _ = bytes.Cut(text[1:], []byte{0}) // language
				_, text, _ = bytes.Cut(text, []byte{0})     // translated keyword
				text = append([]byte{0}, text...)
			}
			if len(text) > 1 && !yield(text[1:]) {
				return
			}
		}
	}
}

// pdfStreams gives the streams of a document (ISO 32000-1, 7.3.8), which most
// often are zlib.
func pdfStreams(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for {
			i := bytes.Index(data, []byte("stream"))
			if i < 0 {
				return
			}
			data = data[i+len("stream"):]
			body := bytes.TrimLeft(data[:min(2, len(data))], "\r\n")
			body = data[min(2, len(data))-len(body):]
			if len(body) > 2 && body[0]&0x0f == 8 && (uint(body[0])<<8|uint(body[1]))%31 == 0 && !yield(body) {
				return
			}
		}
	}
}
