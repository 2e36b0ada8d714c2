// Package supervisetest is the sidecar's half of a conversation about what waits,
// without a sidecar: for tests of those who answer.
package supervisetest

import (
	"io"
	"net"

	"github.com/bot-bottle/bb/egress/supervise"
)

// Desk serves a queue at a socket, as a sidecar's control socket does.
type Desk struct {
	*supervise.Queue
	listener net.Listener
}

// Open listens at the socket until Close.
func Open(socket string) (*Desk, error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	d := &Desk{supervise.New(), l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.serve(conn)
		}
	}()
	return d, nil
}

// Close ends what listens.
func (d *Desk) Close() error { return d.listener.Close() }

func (d *Desk) serve(conn net.Conn) {
	var preface string
	for b := make([]byte, 1); len(preface) < 64 && b[0] != '\n'; preface += string(b) {
		if _, err := conn.Read(b); err != nil {
			_ = conn.Close()
			return
		}
	}
	answer := `{"ok":true}` + "\n"
	if preface != "bb1 supervise\n" {
		answer = `{"ok":false,"error":"nothing else is served here"}` + "\n"
	}
	if _, err := io.WriteString(conn, answer); err != nil || preface != "bb1 supervise\n" {
		_ = conn.Close()
		return
	}
	d.Talk(conn)
}
