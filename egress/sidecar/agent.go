package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// CommandAgent turns a control connection into the way to the host's ssh-agent.
const CommandAgent = "agent"

const (
	// maxRelays may be connected at once: one, and its successor.
	maxRelays     = 2
	maxAgentHello = 64 << 10
	// askTime bounds one question: a person may have to confirm it.
	askTime = 40 * time.Second
	// pingEvery is how often the host is asked whether it is there: a connection
	// through a far engine can break without an end.
	pingEvery = 20 * time.Second
)

// errNoAgent is what who wants a signature is told.
var errNoAgent = errors.New("the host's ssh-agent is not connected")

// hostAgent is the ssh-agent of the host, as far as it is lent: bb on the host
// holds one control stream and answers on it. The zero value is not connected.
type hostAgent struct {
	mu   sync.Mutex
	link *agentLink
}

// HostAgent opens a connection that speaks the ssh-agent protocol with the host.
// Those that are open at once take turns, message by message.
func (a *hostAgent) HostAgent(context.Context) (io.ReadWriteCloser, error) {
	link := a.current()
	if link == nil {
		return nil, errNoAgent
	}
	near, far := net.Pipe()
	go link.session(far)
	return near, nil
}

func (a *hostAgent) current() *agentLink {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.link
}

// swap puts a link in place of another, if that is still there; nil means any.
func (a *hostAgent) swap(old, link *agentLink) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old != nil && a.link != old {
		return
	}
	if a.link != nil && a.link != link {
		a.link.close()
	}
	a.link = link
}

// word is what a state line says about the agent.
func (a *hostAgent) word(slots map[string]secret) string {
	link, word := a.current(), ""
	for slot, s := range slots {
		if !strings.HasPrefix(slot, egress.SlotGit) || egress.KindOf(s.value) != egress.CredentialAgent {
			continue
		}
		if link == nil || !slices.Contains(link.keys, s.value) {
			return egress.AgentGone
		}
		word = egress.AgentConnected
	}
	return word
}

// lend serves one relay of the host until either end closes. A new one takes
// the place of the one before.
func (c *controller) lend(conn *net.UnixConn) {
	hello, err := readHello(conn)
	if err != nil {
		reply(conn, failed(err))
		return
	}
	if conn.SetDeadline(time.Time{}) != nil {
		return
	}
	link := newAgentLink(conn, hello.Keys)
	link.turn <- struct{}{} // nothing is asked before the reply
	// In place before the reply: who was told last is the one that counts.
	c.state.agent.swap(nil, link)
	if !reply(conn, egress.Reply{OK: true}) {
		link.close()
	}
	<-link.turn
	c.state.agentChanged()
	link.run()
	c.state.agent.swap(link, nil)
	c.state.agentChanged()
}

// agentChanged says the state again when the agent came or went.
func (s *state) agentChanged() {
	s.applying.Lock()
	defer s.applying.Unlock()
	live := s.document()
	if live == nil {
		return
	}
	line, err := s.configuredLine(live, s.rules, s.agent.word(s.vault.secrets()))
	if err != nil {
		return // the document would have been refused
	}
	s.saying.Lock()
	same := bytes.Equal(line, s.said)
	s.saying.Unlock()
	if !same {
		_ = s.say(line)
	}
}

func readHello(conn io.Reader) (h egress.AgentHello, err error) {
	line, err := readLine(conn, maxAgentHello)
	if err != nil {
		return h, errors.New("no keys for the agent")
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(line)))
	dec.DisallowUnknownFields()
	if dec.Decode(&h) != nil || len(h.Keys) == 0 {
		return h, errors.New("malformed keys for the agent")
	}
	for _, key := range h.Keys {
		if _, err := egress.ParseAgent(key); err != nil {
			return h, errors.New("malformed keys for the agent")
		}
	}
	return h, nil
}

// CtlTalk carries a conversation (CommandAgent, CommandSupervise) between a
// sidecar and who holds the other ends of stdin and stdout, and ends with either.
func CtlTalk(ctx context.Context, at Control, command string, stdin io.Reader, stdout io.Writer) error {
	if err := harden(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, hangUp, err := dialControl(ctx, at.Socket)
	if err != nil {
		return fmt.Errorf("sidecar control: %w", err)
	}
	defer hangUp()
	if err := at.send(conn, command, ""); err != nil {
		return fmt.Errorf("sidecar control: %w", err)
	}
	go func() {
		_, _ = io.Copy(conn, stdin)
		cancel()
	}()
	_, err = io.Copy(stdout, conn)
	if ctx.Err() != nil {
		return nil
	}
	return err
}
