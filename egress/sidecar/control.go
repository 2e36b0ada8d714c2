package sidecar

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/supervise"
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

	// maxKnown are served at once.
	maxKnown = maxControls + maxReaders + maxRelays + supervise.MaxWatchers
)

// controller answers one command a connection with one reply line; after that
// of log come the lines, after that of agent its protocol.
type controller struct {
	state   *state
	logs    map[string]*store // by egress.LogRequest.Log
	readers chan struct{}
	// strangers are those who have not shown the key, and known bounds the others.
	strangers *strangers
	known     chan struct{}
	told      sync.Once
	note      func(format string, args ...any)
}

func newController(s *state, logs map[string]*store, note func(string, ...any)) *controller {
	return &controller{
		state: s, logs: logs, note: note, readers: make(chan struct{}, maxReaders),
		strangers: &strangers{key: s.opts.ControlKey}, known: make(chan struct{}, maxKnown),
	}
}

// server runs it. Who asks for a key waits for nobody long: strangers go.
func (c *controller) server() *server {
	s := &server{name: "control", note: c.note, limit: maxKnown, handle: c.serve}
	if c.strangers.key != "" {
		s.limit, s.wait = maxKnown+2*maxStrangers, true
	}
	return s
}

func (c *controller) serve(conn *net.UnixConn) {
	if checkPeer(conn) != nil || conn.SetWriteDeadline(time.Now().Add(controlTimeout)) != nil {
		return
	}
	if err := c.strangers.admit(conn); err != nil {
		c.told.Do(func() { c.note("control: a process of this user came without the key, and was refused") })
		reply(conn, failed(err))
		return
	}
	select {
	case c.known <- struct{}{}:
		defer func() { <-c.known }()
	default:
		return
	}
	if conn.SetDeadline(time.Now().Add(controlTimeout)) != nil {
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
