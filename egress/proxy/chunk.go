package proxy

import (
	"bytes"
	"errors"
)

var (
	errBareLF      = errors.New("a line that ends in a bare LF")
	errBareCR      = errors.New("a bare CR")
	errEmptyLine   = errors.New("an empty line before the request")
	errControl     = errors.New("a control byte in the head")
	errLongHead    = errors.New("a head of more than 64 KiB")
	errLateConnect = errors.New("CONNECT on a connection that was used already")
	errLookAlike   = errors.New("a header that some servers take for one that frames the request")
	errEarly       = errors.New("data before an upgrade was answered")
	errChunk       = errors.New("malformed chunk framing")
	errTrailer     = errors.New("a trailer that is too long or malformed")
)

type chunkPart int

const (
	chunkSize    chunkPart = iota // a size line
	chunkData                     // left bytes of data
	chunkEnd                      // the CRLF behind them
	chunkTrailer                  // trailer lines up to an empty one
)

// chunkState follows chunked framing (RFC 9112, 7.1) without extensions: they
// carry nothing, and parsers disagree about them.
type chunkState struct {
	part    chunkPart
	left    int64
	trailer int
}

func (c *chunkState) inData() bool { return c.part == chunkData }

func (c *chunkState) skip(n int64) {
	if c.left -= n; c.left == 0 {
		c.part = chunkEnd
	}
}

// scan returns how many bytes of in are in order, and whether the body ends
// with them. Incomplete lines stay for the next call.
func (c *chunkState) scan(in []byte) (n int, done bool, err error) {
	for n < len(in) {
		rest := in[n:]
		if c.part == chunkData {
			m := min(c.left, int64(len(rest)))
			c.skip(m)
			n += int(m)
			continue
		}
		line, ok, err := cutLine(rest, c.limit())
		if err != nil || !ok {
			return n, false, err
		}
		if done, err = c.line(line); err != nil {
			return n, false, err
		}
		n += len(line) + 2
		if done {
			return n, true, nil
		}
	}
	return n, false, nil
}

func (c *chunkState) limit() int {
	switch c.part {
	case chunkSize:
		return 8
	case chunkEnd:
		return 0
	}
	return maxTrailer - c.trailer
}

func (c *chunkState) line(line []byte) (done bool, err error) {
	switch c.part {
	case chunkSize:
		size, ok := parseHex(line)
		if !ok {
			return false, errChunk
		}
		c.left, c.part = size, chunkData
		if size == 0 {
			c.part = chunkTrailer
		}
	case chunkEnd:
		c.part = chunkSize
	case chunkTrailer:
		if len(line) == 0 {
			return true, nil
		}
		name, _, err := parseField(string(line))
		if err != nil || forbiddenTrailer(name) {
			return false, errTrailer
		}
		c.trailer += len(line) + 2
	}
	return false, nil
}

// cutLine returns the line that in begins with, without its CRLF. A line that
// is longer than limit or ends otherwise is an error at once.
func cutLine(in []byte, limit int) ([]byte, bool, error) {
	if limit < 0 {
		return nil, false, errTrailer
	}
	i := bytes.IndexAny(in[:min(len(in), limit+1)], "\r\n")
	switch {
	case i < 0 && len(in) > limit:
		return nil, false, errChunk
	case i < 0 || in[i] == '\r' && i+1 == len(in):
		return nil, false, nil
	case in[i] == '\n' || in[i+1] != '\n':
		return nil, false, errChunk
	}
	return in[:i], true, nil
}

func parseHex(s []byte) (int64, bool) {
	var n int64
	for _, c := range s {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int64(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | int64(c-'a'+10)
		case 'A' <= c && c <= 'F':
			n = n<<4 | int64(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, len(s) > 0
}
