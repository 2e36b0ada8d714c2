package dlp

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"

	"github.com/bot-bottle/bb/egress"
)

// signature is how packed data begins: mark is the part that is rare in texts
// and images, before what stands in front of it.
type signature struct{ before, mark string }

var (
	gzipData = signature{"\x1f", "\x8b\x08"}
	zipEntry = signature{"PK", "\x03\x04"}
	zstdData = signature{"\x28", "\xb5\x2f\xfd"}
)

// next returns where packed data may begin in text at or after from, or -1.
func (s signature) next(text []byte, from int) int {
	for i := from + len(s.before); i < len(text); {
		n := bytes.Index(text[i:], []byte(s.mark))
		if n < 0 {
			break
		}
		if start := i + n - len(s.before); string(text[start:i+n]) == s.before {
			return start
		}
		i += n + 1
	}
	return -1
}

// hasMagic says that packed data begins somewhere in text; zlib's, which says
// little, at its beginning only.
func hasMagic(text []byte) bool {
	return gzipData.next(text, 0) >= 0 || zipEntry.next(text, 0) >= 0 || zstdData.next(text, 0) >= 0 ||
		len(text) > 1 && isZlib(text[0], text[1])
}

// isZlib says that these may be the first bytes of a zlib stream without a
// dictionary: one in 1,500 pairs may.
func isZlib(a, b byte) bool {
	return a&0x0f == 8 && a>>4 <= 7 && b&0x20 == 0 && (uint(a)<<8|uint(b))%31 == 0
}

// isPixels says that the pixels of a PNG begin at text[at:] (PNG specification,
// 11.2.3). A screenshot is a hundred times as long unpacked, runs of colours
// look like encodings in encodings, and whoever can write pixels can hide
// anything in them.
func isPixels(text []byte, at int) bool {
	return bytes.HasPrefix(text, []byte("\x89PNG\r\n\x1a\n")) && bytes.HasSuffix(text[:at], []byte("IDAT"))
}

// zlibWithin is how far into what a run decodes to a zlib stream is looked for:
// its two bytes are too common to look everywhere.
const zlibWithin = 96

// unpackers are kept between searches: each holds a window of 32 KiB or more.
type unpackers struct {
	gzip  *gzip.Reader
	zlib  io.ReadCloser
	flate io.ReadCloser
	zstd  unzstd
}

// packed unpacks what text holds in a packed form, and searches it.
func (q *search) packed(text []byte, p place) {
	if len(text) < minRun*3/4 {
		return
	}
	q.each(text, p, gzipData, func(in *bytes.Reader) (io.Reader, error) {
		var err error
		if q.unpack.gzip == nil {
			q.unpack.gzip, err = gzip.NewReader(in)
		} else {
			err = q.unpack.gzip.Reset(in)
		}
		if err == nil {
			q.unpack.gzip.Multistream(false)
		}
		return q.unpack.gzip, err
	})
	q.each(text, p, zipEntry, func(in *bytes.Reader) (io.Reader, error) {
		var head [30]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return nil, err
		}
		if binary.LittleEndian.Uint16(head[8:]) != 8 {
			return nil, errors.New("not deflated") // stored: it can be read as it is
		}
		skip := int64(binary.LittleEndian.Uint16(head[26:])) + int64(binary.LittleEndian.Uint16(head[28:]))
		if _, err := in.Seek(skip, io.SeekCurrent); err != nil {
			return nil, err
		}
		if q.unpack.flate == nil {
			q.unpack.flate = flate.NewReader(in)
			return q.unpack.flate, nil
		}
		return q.unpack.flate, q.unpack.flate.(flate.Resetter).Reset(in, nil)
	})
	q.each(text, p, zstdData, func(in *bytes.Reader) (io.Reader, error) { return q.unpack.zstd.open(in) })
	within := 1
	if p.depth > 0 {
		within = zlibWithin
	}
	for i := 0; i < min(within, len(text)-1); i++ {
		if isZlib(text[i], text[i+1]) && !isPixels(text, i) {
			q.try(text, i, p, func(in *bytes.Reader) (io.Reader, error) {
				var err error
				if q.unpack.zlib == nil {
					q.unpack.zlib, err = zlib.NewReader(in)
				} else {
					err = q.unpack.zlib.(zlib.Resetter).Reset(in, nil)
				}
				return q.unpack.zlib, err
			})
		}
	}
}

type opener func(in *bytes.Reader) (io.Reader, error)

func (q *search) each(text []byte, p place, s signature, open opener) {
	for at := s.next(text, 0); at >= 0 && q.err == nil; at = s.next(text, at) {
		at = q.try(text, at, p, open)
	}
}

// try unpacks text from at on, searches what comes, and returns where to go on.
// Data that is broken was none, or is searched as far as it goes.
func (q *search) try(text []byte, at int, p place, open opener) int {
	if q.tries++; q.tries > maxTries {
		q.fail(egress.ErrTooDeep)
		return len(text)
	}
	if !q.spend(tryWork) {
		return len(text)
	}
	in := bytes.NewReader(text[at:])
	out, err := open(in)
	if err != nil {
		return at + 1
	}
	cut := q.cut
	found, n, err := q.drain(out, p)
	if at >= len(text)-overlap/2 {
		q.cut = cut // the next piece has all of it
	}
	end := len(text) - in.Len()
	q.spend(end - at)
	for _, h := range found {
		q.add(h.Detector, h.Known, at, end)
	}
	if err != nil && n < overlap {
		return at + 1
	}
	return max(end, at+1)
}

// Pieces in which an unpacked stream is searched; each begins with the overlap
// of the one before. What is packed inside has to lie in one piece, so that
// pieces are as long as a body may be.
const (
	firstPiece = 64 << 10
	largePiece = 8 << 20
	overlap    = 16 << 10
)

// drain searches all that r gives, and returns what it found, without bounds
// that mean anything, and how many bytes there were.
func (q *search) drain(r io.Reader, p place) (found []egress.Hit, total int, err error) {
	most := largePiece
	if p.depth == maxDepth {
		most = firstPiece
	}
	buf := q.buffer(firstPiece)
	defer func() { q.release(buf) }()
	for err == nil && q.err == nil {
		n := len(buf)
		buf, err = q.fill(r, buf, most)
		if n = len(buf) - n; n == 0 || q.err != nil {
			break
		}
		total += n
		if p.depth == maxDepth {
			if err == nil || ended(err) && total >= minValue {
				q.fail(egress.ErrTooDeep)
			}
			break
		}
		before, cut := q.base, q.cut
		q.base, q.cut = len(q.hits), false
		q.layer(buf, place{depth: p.depth + 1})
		found = append(found, merged(q.hits[q.base:])...)
		q.hits, q.base = q.hits[:q.base], before
		if len(found) > 1 {
			found = strongest(found)
		}
		if q.cut && err == nil {
			q.fail(egress.ErrTooDeep) // it goes on in the next piece, unseen
		}
		q.cut = q.cut || cut
		if err == nil {
			buf = buf[:copy(buf, buf[len(buf)-overlap:])]
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		q.cut = true
	}
	if ended(err) {
		err = nil
	}
	return found, total, err
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// fill appends what r gives to buf, until that is most bytes long or r fails.
func (q *search) fill(r io.Reader, buf []byte, most int) ([]byte, error) {
	for len(buf) < most {
		if len(buf) == cap(buf) {
			if cap(buf) >= largePiece/2 {
				q.alone()
			}
			grown := make([]byte, len(buf), min(2*cap(buf), max(most, len(buf)+1)))
			copy(grown, buf)
			q.release(buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), most)])
		buf = buf[:len(buf)+n]
		if !q.unpacked(n) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// alone waits until no other search has much in memory: a few bytes unpack to
// as much as maxOutput.
func (q *search) alone() {
	if !q.large {
		q.s.large.Lock()
		q.large = true
	}
}

// strongest is the one hit that stands for all of them: a known value if there
// is one.
func strongest(hits []egress.Hit) []egress.Hit {
	for i := range hits {
		if hits[i].Known {
			hits[0] = hits[i]
		}
	}
	return hits[:min(1, len(hits))]
}
