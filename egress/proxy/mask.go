package proxy

import (
	"errors"
	"io"
)

// masker covers every byte of every string of its matcher, also of those that
// overlap, in data that comes in pieces. It holds back only an end that is the
// beginning of such a string.
type masker struct {
	m    *matcher
	held []byte // as it came
	// covered counts the bytes of held that are part of a string that is whole.
	covered int
	changed bool
}

// pass masks data, which begins with what was held, and returns how much of it
// may go on; the rest is held.
func (k *masker) pass(data []byte, last bool) int {
	cut := len(data)
	if !last {
		cut = k.m.tail(data)
	}
	k.held = append(k.held[:0], data[cut:]...)
	from, to := 0, k.covered // found, not covered yet
	for next := 0; ; {
		start, end, ok := k.m.find(data, next)
		if !ok || start >= cut { // found again once more has come
			break
		}
		k.changed = true
		if start > to { // nothing that begins later needs the bytes before
			k.cover(data[from:to])
			from = start
		}
		to, next = max(to, end), start+1
	}
	k.cover(data[from:to])
	k.covered = max(0, to-cut)
	return cut
}

func (k *masker) cover(data []byte) {
	for i := range data {
		data[i] = k.m.filler
	}
}

// maskedBody is a body without the strings of its matcher.
type maskedBody struct {
	io.ReadCloser
	masker
	frames *frames // nil: one piece of text
	own    []byte  // where the reader's buffer is too short to search in
	ready  []byte  // of own
	err    error
}

func newMaskedBody(body io.ReadCloser, m *matcher, f *frames) *maskedBody {
	return &maskedBody{ReadCloser: body, masker: masker{m: m}, frames: f}
}

func (b *maskedBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(b.ready) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		if len(p) >= 2*b.m.longest {
			if n := b.fill(p); n > 0 {
				return n, nil
			}
			continue
		}
		if b.own == nil {
			b.own = make([]byte, 2*b.m.longest)
		}
		b.ready = b.own[:b.fill(b.own)]
	}
	n := copy(p, b.ready)
	b.ready = b.ready[n:]
	return n, nil
}

// fill reads once. When the body breaks, what was held is not given away: it
// is the beginning of a credential, and no whole answer.
func (b *maskedBody) fill(buf []byte) int {
	n := copy(buf, b.held)
	more, err := b.ReadCloser.Read(buf[n:])
	b.err = err
	last := errors.Is(err, io.EOF)
	if b.frames == nil {
		return b.pass(buf[:n+more], last)
	}
	n, err = b.frames.pass(&b.masker, buf[:n+more], last)
	if err != nil {
		b.err = err
	}
	return n
}

// maskedStream is what an upgraded connection's upstream says, masked, and
// hears.
type maskedStream struct {
	*maskedBody
	stream io.ReadWriteCloser
}

func (s *maskedStream) Write(p []byte) (int, error) { return s.stream.Write(p) }

// CloseWrite hands on that the agent has no more to say.
func (s *maskedStream) CloseWrite() error {
	if w, ok := s.stream.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
