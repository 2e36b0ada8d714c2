package sidecar

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// requestIdentities is SSH_AGENTC_REQUEST_IDENTITIES, the cheapest question.
var requestIdentities = []byte{11}

// agentLink is one stream to the host on which this end asks.
type agentLink struct {
	conn io.ReadWriteCloser
	keys []string
	ask  time.Duration // shorter in tests
	ping time.Duration

	turn    chan struct{} // one question at a time
	waiting atomic.Bool   // for an answer
	answers chan []byte
	gone    chan struct{}
	once    sync.Once
}

func newAgentLink(conn io.ReadWriteCloser, keys []string) *agentLink {
	return &agentLink{
		conn: conn, keys: keys, ask: askTime, ping: pingEvery,
		turn: make(chan struct{}, 1), answers: make(chan []byte, 1), gone: make(chan struct{}),
	}
}

func (l *agentLink) close() {
	l.once.Do(func() {
		close(l.gone)
		_ = l.conn.Close()
	})
}

// run reads answers until the stream ends, or says what nobody asked for.
func (l *agentLink) run() {
	defer l.close()
	go l.watch()
	for {
		answer, err := readMessage(l.conn)
		if err != nil || !l.waiting.CompareAndSwap(true, false) {
			return
		}
		l.answers <- answer // has room: one question at a time
	}
}

// watch notices a host that is gone without a word.
func (l *agentLink) watch() {
	tick := time.NewTicker(l.ping)
	defer tick.Stop()
	for {
		select {
		case <-l.gone:
			return
		case <-tick.C:
			if _, err := l.exchange(requestIdentities); err != nil {
				return
			}
		}
	}
}

// exchange asks one question. Without an answer in time the stream is given up:
// a late one would be taken for that to the next.
func (l *agentLink) exchange(question []byte) ([]byte, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-l.gone:
		return nil, errNoAgent
	}
	late := time.NewTimer(l.ask)
	defer late.Stop()
	l.waiting.Store(true)
	sent := make(chan error, 1)
	go func() { sent <- writeMessage(l.conn, question) }()
	for {
		select {
		case err := <-sent:
			if err != nil {
				l.close()
				return nil, errNoAgent
			}
			sent = nil
		case answer := <-l.answers:
			return answer, nil
		case <-l.gone:
			return nil, errNoAgent
		case <-late.C:
			l.close()
			return nil, errNoAgent
		}
	}
}

// session answers one client, message by message, as long as the stream lives.
func (l *agentLink) session(conn io.ReadWriteCloser) {
	done := make(chan struct{})
	defer close(done)
	defer conn.Close()
	go func() {
		select {
		case <-l.gone:
			_ = conn.Close()
		case <-done:
		}
	}()
	for {
		question, err := readMessage(conn)
		if err != nil {
			return
		}
		answer, err := l.exchange(question)
		if err != nil || writeMessage(conn, answer) != nil {
			return
		}
	}
}

// readMessage reads a message of the ssh-agent protocol, without its length.
func readMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > egress.MaxAgentMessage {
		return nil, errors.New("a message of the ssh-agent protocol is empty or too large")
	}
	message := make([]byte, n)
	_, err := io.ReadFull(r, message)
	return message, err
}

func writeMessage(w io.Writer, message []byte) error {
	if len(message) > egress.MaxAgentMessage {
		return errors.New("a message of the ssh-agent protocol is too large")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...))
	return err
}
