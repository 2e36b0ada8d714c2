// Package session runs one command in a bottle for somebody outside. The
// supervisor (Serve) is the command's parent in the bottle; the Client is its
// other end on the host. What connects them is whatever a driver has: three
// streams. The supervisor's standard input carries frames, so that a client
// that died is told from an input that ended; its standard output is the raw
// output; its standard error carries frames back.
//
// The supervisor runs as the agent's user, and the agent is hostile: it can
// kill or stop the supervisor, and lie in its place. So what comes back is
// believed to be nothing but output, and a code.
package session

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Kinds of frames to the bottle.
const (
	frameData   = 'd' // input
	frameEnd    = 'e' // the input has ended
	frameResize = 'r' // rows and columns, two bytes each
)

// Kinds of frames from the bottle.
const (
	frameStarted = 'S' // the session is the client's; the command is being started
	frameBusy    = 'B' // another session has its name
	frameError   = 'E' // the command's standard error
	frameTaken   = 'T' // so many more bytes of input reached the command, four bytes
)

const (
	headerSize = 5 // kind, and four bytes of length
	maxPayload = 64 << 10
	// Window is how many bytes of input may be under way. The supervisor holds
	// that much, so that it always reads on and sees the end of its client.
	Window = 1 << 20
)

// ErrFrame says that what came is not in the form of a session.
var ErrFrame = errors.New("not a frame of a session")

// appendFrame adds one frame to b; the payload is at most maxPayload.
func appendFrame(b []byte, kind byte, payload []byte) []byte {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// decoder splits a stream, in whatever pieces it comes, into frames.
type decoder struct {
	kinds string // those that may come
	// handle gets each frame; the payload is valid until it returns.
	handle func(kind byte, payload []byte) error
	rest   []byte
}

// feed takes the next piece. After an error it must not be called again.
func (d *decoder) feed(p []byte) error {
	d.rest = append(d.rest, p...)
	at := 0
	for len(d.rest)-at >= headerSize {
		kind, size := d.rest[at], binary.BigEndian.Uint32(d.rest[at+1:])
		if err := d.check(kind, size); err != nil {
			return err
		}
		end := at + headerSize + int(size)
		if end > len(d.rest) {
			break
		}
		if err := d.handle(kind, d.rest[at+headerSize:end]); err != nil {
			return err
		}
		at = end
	}
	d.rest = append(d.rest[:0], d.rest[at:]...)
	return nil
}

// check judges a header, before its payload is waited for.
func (d *decoder) check(kind byte, size uint32) error {
	for i := range len(d.kinds) {
		if d.kinds[i] == kind {
			return checkSize(kind, size)
		}
	}
	return fmt.Errorf("%w: kind %q", ErrFrame, kind)
}

func checkSize(kind byte, size uint32) error {
	ok := size == 0
	switch kind {
	case frameData, frameError:
		ok = size <= maxPayload
	case frameResize, frameTaken:
		ok = size == 4
	}
	if !ok {
		return fmt.Errorf("%w: %q of %d bytes", ErrFrame, kind, size)
	}
	return nil
}

// Size of a terminal, in characters.
type Size struct{ Rows, Cols uint16 }

func (s Size) bytes() []byte {
	b := binary.BigEndian.AppendUint16(nil, s.Rows)
	return binary.BigEndian.AppendUint16(b, s.Cols)
}

func sizeOf(b []byte) Size {
	return Size{Rows: binary.BigEndian.Uint16(b), Cols: binary.BigEndian.Uint16(b[2:])}
}
