package dns

import (
	"encoding/binary"
	"io"
	"net"
	"time"
)

// Bounds of one connection. A stub resolver asks two or three questions and
// leaves; whoever needs more opens another.
const (
	maxQuery    = 4096
	maxQueries  = 256
	idleTimeout = 10 * time.Second
)

// ServeConn answers the length-framed queries of one connection until it ends,
// idles or breaks a bound, and closes it.
func (n Names) ServeConn(conn net.Conn) {
	defer conn.Close()
	n.serve(conn, idleTimeout)
}

func (n Names) serve(conn net.Conn, idle time.Duration) {
	for range maxQueries {
		// One deadline for the whole exchange: bytes that trickle in do not
		// extend it.
		if conn.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		query, err := readFrame(conn)
		if err != nil {
			return
		}
		answer := n.Answer(query)
		if answer == nil {
			return
		}
		if _, err := conn.Write(frame(answer)); err != nil {
			return
		}
	}
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint16(size[:])
	if length < headerLen || length > maxQuery {
		return nil, io.ErrUnexpectedEOF
	}
	query := make([]byte, length)
	_, err := io.ReadFull(r, query)
	return query, err
}

// frame puts the two-byte length before a message.
func frame(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(msg)), uint16(len(msg))), msg...)
}
