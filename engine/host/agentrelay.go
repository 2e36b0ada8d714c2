package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/bot-bottle/bb/egress"
)

// Messages of the ssh-agent protocol (draft-ietf-sshm-ssh-agent, section 6.1).
const (
	agentFailure    = 5
	agentList       = 11
	agentListAnswer = 12
	agentSign       = 13
	agentSignAnswer = 14
)

const (
	// signsPerMinute is more than a busy agent pushes, and fewer than a search
	// for something in signatures takes.
	signsPerMinute = 120
	// asksPerMinute bounds questions of any kind: each is one to the agent.
	asksPerMinute = 600
	// relaySilence ends a relay whose sidecar asks nothing: it pings.
	relaySilence = 90 * time.Second
	// signTime bounds one signature: a person may have to confirm it.
	signTime = 35 * time.Second
)

// Lent is a key of the user's ssh-agent that a sidecar may log in with.
type Lent struct {
	// Key is "ssh-agent TYPE BASE64".
	Key    string  `json:"key"`
	Logins []Login `json:"logins"`
}

// Login is what a lent key may be used for.
type Login struct {
	User string `json:"user"`
	// HostKey is "TYPE BASE64". It is held to where the login names its host:
	// OpenSSH 8.9 and later on both ends.
	HostKey string `json:"host_key"`
}

// AgentRelay answers a sidecar in the place of the user's ssh-agent: it lists
// the lent keys and signs logins with them, and refuses everything else.
type AgentRelay struct {
	Lent []Lent
	// Dial connects to the agent: DialAgent.
	Dial func(context.Context) (net.Conn, error)
	// Note gets one line for each signature, given or refused.
	Note func(format string, args ...any)

	silence   time.Duration // tests
	perMinute int
	signed    []time.Time
}

// Serve answers on a stream until it ends, breaks the form or falls silent, or
// the agent is gone, and closes it. Whatever ended it is returned, never nil.
func (r *AgentRelay) Serve(ctx context.Context, stream io.ReadWriteCloser) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer stream.Close()
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	if r.silence == 0 {
		r.silence = relaySilence
	}
	if r.perMinute == 0 {
		r.perMinute = signsPerMinute
	}
	silent := time.AfterFunc(r.silence, cancel)
	defer silent.Stop()
	asked, since := 0, time.Now()
	for {
		question, err := readAgentMessage(stream)
		if err != nil {
			return fmt.Errorf("the sidecar is gone: %w", err)
		}
		if time.Since(since) > time.Minute {
			asked, since = 0, time.Now()
		}
		if asked++; asked > asksPerMinute {
			return fmt.Errorf("the sidecar asks more than %d times in a minute", asksPerMinute)
		}
		silent.Reset(r.silence + signTime)
		answer, gone := r.answer(ctx, question)
		if err := writeAgentMessage(stream, answer); err != nil {
			return fmt.Errorf("the sidecar is gone: %w", err)
		}
		if gone != nil {
			return gone
		}
		silent.Reset(r.silence)
	}
}

// answer returns what the sidecar is told, and an error when the agent is gone.
func (r *AgentRelay) answer(ctx context.Context, question []byte) ([]byte, error) {
	refused := []byte{agentFailure}
	switch {
	case len(question) == 1 && question[0] == agentList:
		keys, err := r.list(ctx)
		if err != nil {
			return refused, err
		}
		return keys, nil
	case question[0] == agentSign:
		var q struct {
			Key, Data []byte
			Flags     uint32
		}
		if err := ssh.Unmarshal(question[1:], &q); err != nil {
			r.Note("refused: a request that is not whole")
			return refused, nil
		}
		who, err := r.judge(q.Key, q.Data, q.Flags)
		if err != nil {
			r.Note("refused: %v", err)
			return refused, nil
		}
		signature, err := r.sign(ctx, q.Key, q.Data, q.Flags)
		if err != nil {
			r.Note("not signed for %s: %v", who, err)
			if errors.Is(err, errAgentGone) {
				return refused, err
			}
			return refused, nil
		}
		r.Note("signed for %s", who)
		return signature, nil
	}
	r.Note("refused: message %d of the ssh-agent protocol", question[0])
	return refused, nil
}

var errAgentGone = errors.New("the ssh-agent is gone")

// ask runs f on a connection of its own, for a bounded time.
func (r *AgentRelay) ask(ctx context.Context, f func(agent.ExtendedAgent) error) error {
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	conn, err := r.Dial(ctx)
	if err != nil {
		return errAgentGone
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	return f(agent.NewClient(conn))
}

// list answers with those of the lent keys that the agent has now, without their
// comments: those are paths and names of people.
func (r *AgentRelay) list(ctx context.Context) ([]byte, error) {
	var has [][]byte
	err := r.ask(ctx, func(a agent.ExtendedAgent) error {
		keys, err := a.List()
		for _, k := range keys {
			if r.lent(k.Blob) != nil {
				has = append(has, k.Blob)
			}
		}
		return err
	})
	if err != nil {
		return nil, errAgentGone
	}
	out := binary.BigEndian.AppendUint32([]byte{agentListAnswer}, uint32(len(has)))
	for _, blob := range has {
		out = append(out, ssh.Marshal(struct {
			Blob    []byte
			Comment string
		}{blob, ""})...)
	}
	return out, nil
}

func (r *AgentRelay) sign(ctx context.Context, key, data []byte, flags uint32) ([]byte, error) {
	public, err := ssh.ParsePublicKey(key)
	if err != nil {
		return nil, errors.New("the key cannot be read")
	}
	var out []byte
	err = r.ask(ctx, func(a agent.ExtendedAgent) error {
		s, err := a.SignWithFlags(public, data, agent.SignatureFlags(flags))
		if err != nil {
			return errors.New("the ssh-agent refuses")
		}
		out = ssh.Marshal(struct{ Signature []byte }{ssh.Marshal(s)})
		return nil
	})
	return append([]byte{agentSignAnswer}, out...), err
}

func (r *AgentRelay) lent(blob []byte) *Lent {
	for i := range r.Lent {
		if own, err := egress.ParseAgent(r.Lent[i].Key); err == nil && bytes.Equal(own, blob) {
			return &r.Lent[i]
		}
	}
	return nil
}

// spend counts a signature against the minute's.
func (r *AgentRelay) spend() error {
	now := time.Now()
	for len(r.signed) > 0 && now.Sub(r.signed[0]) > time.Minute {
		r.signed = r.signed[1:]
	}
	if len(r.signed) >= r.perMinute {
		return fmt.Errorf("more than %d signatures in a minute", r.perMinute)
	}
	r.signed = append(r.signed, now)
	return nil
}

func readAgentMessage(s io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > egress.MaxAgentMessage {
		return nil, errors.New("a message that is empty or too large")
	}
	message := make([]byte, n)
	_, err := io.ReadFull(s, message)
	return message, err
}

func writeAgentMessage(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...))
	return err
}
