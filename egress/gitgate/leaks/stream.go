package leaks

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	// maxHeader bounds the line before an object: a path is on it.
	maxHeader = 1 << 20
	// maxObject bounds an object, in bytes. Forges take no larger files.
	maxObject = 64 << 20
)

// object is one object as it came.
type object struct {
	id, kind, path string
	size           int64
	data           []byte
}

// stream reads objects in BatchFormat.
type stream struct{ r *bufio.Reader }

func newStream(r io.Reader) *stream { return &stream{bufio.NewReaderSize(r, 256<<10)} }

// head reads the line before an object; io.EOF when there is none any more.
func (s *stream) head() (object, error) {
	var line []byte
	for {
		part, err := s.r.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return object{}, io.EOF
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return object{}, broken(err)
		}
		if len(line) > maxHeader {
			return object{}, errors.New("the line before an object is too long")
		}
	}
	return parseHead(line[:len(line)-1])
}

func parseHead(line []byte) (object, error) {
	parts := bytes.SplitN(line, []byte(" "), 4)
	if len(parts) < 4 {
		return object{}, errors.New("an object is missing")
	}
	o := object{id: string(parts[0]), kind: string(parts[1]), path: string(parts[3])}
	if !isID(parts[0]) {
		return object{}, errors.New("an object has no id")
	}
	switch o.kind {
	case "blob", "tree", "commit", "tag":
	default:
		return object{}, fmt.Errorf("object %s is of no known type", o.id)
	}
	size := string(parts[2])
	n, err := strconv.ParseInt(size, 10, 62)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != size {
		return object{}, fmt.Errorf("object %s has no size", o.id)
	}
	o.size = n
	return o, nil
}

// isID says whether b is the id of an object in hex, of SHA-1 or SHA-256.
func isID(b []byte) bool {
	if len(b) != 40 && len(b) != 64 {
		return false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// content reads the object's content.
func (s *stream) content(o *object) error {
	o.data = allocate(o.size)
	if _, err := io.ReadFull(s.r, o.data); err != nil {
		return broken(err)
	}
	return s.end()
}

// skip passes over it.
func (s *stream) skip(o object) error {
	if _, err := io.CopyN(io.Discard, s.r, o.size); err != nil {
		return broken(err)
	}
	return s.end()
}

func (s *stream) end() error {
	switch c, err := s.r.ReadByte(); {
	case err != nil:
		return broken(err)
	case c != '\n':
		return errors.New("an object is longer than it says")
	}
	return nil
}

func broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the objects end too early: %w", err)
}
