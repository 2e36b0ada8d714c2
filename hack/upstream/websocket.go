package main

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it; nothing rests on it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// socket is the server's end of one WebSocket (RFC 6455), as far as a client
// needs it that sends text: no extension is agreed to, so nothing is
// compressed.
type socket struct {
	conn net.Conn
	in   *bufio.Reader
}

// Opcodes of RFC 6455, section 5.2.
const (
	opContinue = 0x0
	opText     = 0x1
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xA
)

// maxMessage bounds a message: a turn of an agent is far below.
const maxMessage = 16 << 20

func upgrades(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && r.Header.Get("Sec-Websocket-Key") != ""
}

// accept answers the handshake.
func accept(w http.ResponseWriter, r *http.Request) (*socket, error) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Minute)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &socket{conn, both.Reader}, nil
}

// read returns the next whole text message; pings are answered on the way.
func (s *socket) read() ([]byte, error) {
	var message []byte
	for {
		final, op, payload, err := s.frame()
		if err != nil {
			return nil, err
		}
		switch op {
		case opPing:
			if err := s.write(opPong, payload); err != nil {
				return nil, err
			}
		case opPong:
		case opClose:
			_ = s.write(opClose, payload[:min(2, len(payload))])
			return nil, io.EOF
		case opText, opContinue:
			if message = append(message, payload...); len(message) > maxMessage {
				return nil, errors.New("message too large")
			}
			if final {
				return message, nil
			}
		default:
			return nil, fmt.Errorf("opcode %d", op)
		}
	}
}

func (s *socket) frame() (final bool, op byte, payload []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(s.in, head[:]); err != nil {
		return
	}
	if head[0]&0x70 != 0 {
		return false, 0, nil, errors.New("an extension that was not agreed to")
	}
	if head[1]&0x80 == 0 {
		return false, 0, nil, errors.New("a client's frame is not masked")
	}
	size := uint64(head[1] & 0x7f)
	switch size {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(s.in, b[:])
		size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(s.in, b[:])
		size = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return
	}
	if size > maxMessage {
		return false, 0, nil, errors.New("frame too large")
	}
	var mask [4]byte
	if _, err = io.ReadFull(s.in, mask[:]); err != nil {
		return
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(s.in, payload)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return head[0]&0x80 != 0, head[0] & 0x0f, payload, err
}

func (s *socket) write(op byte, payload []byte) error {
	head := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	_, err := s.conn.Write(append(head, payload...))
	return err
}
