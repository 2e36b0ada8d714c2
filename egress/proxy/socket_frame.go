package proxy

import (
	"encoding/binary"
	"errors"
)

// Opcodes of RFC 6455, 5.2.
const (
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xa
)

var errClientFrame = errors.New("malformed WebSocket frame")

// clientFrame is the head of a frame that an agent sends.
type clientFrame struct {
	fin    bool
	opcode byte
	length uint64
	key    [4]byte
}

func (f *clientFrame) control() bool { return f.opcode >= opClose }

// parseClientFrame reads a head of RFC 6455, 5.2, strictly: masked, in the
// shortest form, without extensions. It returns how long the head is as far as
// is known; the frame is there once head has that length.
func parseClientFrame(head []byte) (f clientFrame, size int, err error) {
	if len(head) < 2 {
		if len(head) == 1 && !validFirst(head[0]) {
			return f, 0, errClientFrame
		}
		return f, 2, nil
	}
	f.fin, f.opcode = head[0]&0x80 != 0, head[0]&0x0f
	short := head[1] & 0x7f
	if !validFirst(head[0]) || head[1]&0x80 == 0 || f.control() && short > 125 {
		return f, 0, errClientFrame
	}
	size = 6
	switch short {
	case 126:
		size = 8
	case 127:
		size = 14
	}
	if len(head) < size {
		return f, size, nil
	}
	switch short {
	case 126:
		f.length = uint64(binary.BigEndian.Uint16(head[2:]))
		if f.length < 126 {
			return f, 0, errClientFrame
		}
	case 127:
		f.length = binary.BigEndian.Uint64(head[2:])
		if f.length <= 0xffff || f.length>>63 != 0 {
			return f, 0, errClientFrame
		}
	default:
		f.length = uint64(short)
	}
	copy(f.key[:], head[size-4:size])
	return f, size, nil
}

// validFirst judges reserved bits and opcodes; a control frame is whole.
func validFirst(b byte) bool {
	switch op := b & 0x0f; op {
	case opContinue, opText, opBinary:
		return b&0x70 == 0
	case opClose, opPing, opPong:
		return b&0x70 == 0 && b&0x80 != 0
	}
	return false
}

// appendClientFrame appends the head of a masked frame.
func appendClientFrame(dst []byte, f clientFrame) []byte {
	first := f.opcode
	if f.fin {
		first |= 0x80
	}
	switch {
	case f.length < 126:
		dst = append(dst, first, 0x80|byte(f.length))
	case f.length <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, first, 0x80|126), uint16(f.length))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, 0x80|127), f.length)
	}
	return append(dst, f.key[:]...)
}

// mask masks, or unmasks, data that begins at offset of a payload.
func mask(data []byte, key [4]byte, offset uint64) {
	for i := range data {
		data[i] ^= key[(offset+uint64(i))&3]
	}
}

// closeFrame is a server's last word. reason is ASCII.
func closeFrame(code uint16, reason string) []byte {
	reason = reason[:min(len(reason), 123)]
	b := binary.BigEndian.AppendUint16([]byte{0x80 | opClose, byte(2 + len(reason))}, code)
	return append(b, reason...)
}

// boundary follows the frames of a server: a close frame can be put only
// between them.
type boundary struct {
	head []byte
	left uint64
	lost bool
}

func (b *boundary) clean() bool { return !b.lost && b.left == 0 && len(b.head) == 0 }

func (b *boundary) pass(p []byte) {
	for len(p) > 0 && !b.lost {
		if b.left > 0 {
			n := min(b.left, uint64(len(p)))
			b.left -= n
			p = p[n:]
			continue
		}
		b.head = append(b.head, p[0])
		p = p[1:]
		size, payload, err := webSocketFrame(b.head)
		if b.lost = err != nil; !b.lost && size <= len(b.head) {
			b.head, b.left = b.head[:0], payload
		}
	}
}
