package sidecar

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// Commands of the control socket, the word after "bb1 " in its first line.
const (
	CommandApply = "apply"
	CommandGet   = "get"
	CommandCA    = "ca"
	CommandLog   = "log"
	// CommandSupervise becomes a conversation: see egress.SuperviseEvent.
	CommandSupervise = "supervise"
)

const (
	maxControls    = 8
	controlTimeout = 30 * time.Second
)

// controller answers one command a connection with one reply line; after that
// of log come the lines, after that of agent its protocol.
type controller struct {
	state   *state
	logs    map[string]*store // by egress.LogRequest.Log
	readers chan struct{}
}

func newController(s *state, logs map[string]*store) *controller {
	return &controller{state: s, logs: logs, readers: make(chan struct{}, maxReaders)}
}

func (c *controller) serve(conn *net.UnixConn) {
	if conn.SetDeadline(time.Now().Add(controlTimeout)) != nil || checkPeer(conn) != nil {
		return
	}
	command, err := readPreface(conn)
	if err != nil {
		reply(conn, failed(errors.New("no command")))
		return
	}
	switch command {
	case CommandLog:
		c.stream(conn)
		return
	case CommandAgent:
		c.lend(conn)
		return
	case CommandSupervise:
		if !c.state.supervised() {
			reply(conn, failed(errNotSupervised))
		} else if conn.SetDeadline(time.Time{}) == nil && reply(conn, egress.Reply{OK: true}) {
			c.state.queue.Talk(conn)
		}
		return
	}
	reply(conn, c.answer(command, conn))
}

func reply(conn io.Writer, r egress.Reply) bool {
	data, err := json.Marshal(r)
	if err != nil {
		data = []byte(`{"ok":false,"error":"reply cannot be encoded"}`)
	}
	_, err = conn.Write(append(data, '\n'))
	return err == nil
}

func (c *controller) answer(command string, conn io.Reader) egress.Reply {
	switch command {
	case CommandApply:
		data, err := io.ReadAll(io.LimitReader(conn, maxDocument+1))
		if err != nil {
			return failed(errors.New("document did not arrive whole"))
		}
		if err := c.state.apply(data); err != nil {
			return failed(err)
		}
		debug.FreeOSMemory() // a document takes many times its size, and is rare
		return egress.Reply{OK: true}
	case CommandGet:
		return egress.Reply{OK: true, Document: c.state.document()}
	case CommandCA:
		return withData(string(c.state.proxy.CertPEM()))
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
