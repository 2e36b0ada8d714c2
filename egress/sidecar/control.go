package sidecar

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// Commands of the control socket, the word after "bb1 " in its first line.
const (
	CommandApply = "apply"
	CommandGet   = "get"
	CommandCA    = "ca"
	CommandLog   = "log"
)

const (
	maxControls    = 8
	controlTimeout = 30 * time.Second
)

// controller answers one command a connection with one reply line.
type controller struct {
	state  *state
	access *ring
}

func (c *controller) serve(conn *net.UnixConn) {
	if conn.SetDeadline(time.Now().Add(controlTimeout)) != nil || checkPeer(conn) != nil {
		return
	}
	reply := c.answer(conn)
	data, err := json.Marshal(reply)
	if err != nil {
		data = []byte(`{"ok":false,"error":"reply cannot be encoded"}`)
	}
	_, _ = conn.Write(append(data, '\n'))
}

func (c *controller) answer(conn io.Reader) egress.Reply {
	command, err := readPreface(conn)
	if err != nil {
		return failed(errors.New("no command"))
	}
	switch command {
	case CommandApply:
		data, err := io.ReadAll(io.LimitReader(conn, maxDocument+1))
		if err != nil {
			return failed(errors.New("document did not arrive whole"))
		}
		if err := c.state.apply(data); err != nil {
			return failed(err)
		}
		return egress.Reply{OK: true}
	case CommandGet:
		return egress.Reply{OK: true, Document: c.state.document()}
	case CommandCA:
		return withData(string(c.state.proxy.CertPEM()))
	case CommandLog:
		return withData(c.access.lines())
	}
	return failed(errors.New("unknown command"))
}

func failed(err error) egress.Reply { return egress.Reply{Error: err.Error()} }

func withData(v any) egress.Reply {
	data, err := json.Marshal(v)
	if err != nil {
		return failed(errors.New("reply cannot be encoded"))
	}
	return egress.Reply{OK: true, Data: data}
}
