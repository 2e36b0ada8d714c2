package sidecar

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// lentKey is an agent credential; its blob is no sound key, which is the host's
// to judge.
func lentKey(n byte) string {
	return egress.AgentCredential("ssh-ed25519", append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), bytes.Repeat([]byte{n}, 32)...))
}

func withAgentKey(d *egress.Document) {
	d.Tokens["GIT_CREDENTIAL_0"] = egress.Token{Value: lentKey(1), Digest: "dk"}
}

// relayTo connects as the host does, with the given first line, and returns the
// reply.
func relayTo(t *testing.T, socket, line string) (*net.UnixConn, egress.Reply) {
	t.Helper()
	conn := dialUnix(t, socket)
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "bb1 agent\n"+line+"\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := readLine(conn, 4096)
	if err != nil {
		t.Fatal(err)
	}
	var reply egress.Reply
	if err := json.Unmarshal([]byte(answer), &reply); err != nil {
		t.Fatal(err)
	}
	return conn, reply
}

func hello(keys ...string) string {
	b, _ := json.Marshal(egress.AgentHello{Keys: keys})
	return string(b)
}

// agentWord waits for a state line to be the last that says word.
func agentWord(t *testing.T, out *syncBuffer, word string) {
	t.Helper()
	var last egress.StateLine
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		last = egress.StateLine{}
		if json.Unmarshal([]byte(lines[len(lines)-1]), &last) == nil && last.State == egress.StateConfigured && last.Agent == word {
			if last.Rules == "" || last.Live["egress"] == "" {
				t.Errorf("a state line that says less: %+v", last)
			}
			return
		}
	}
	t.Fatalf("the last state line says %q of the agent, want %q", last.Agent, word)
}

func TestStateLineSaysWhetherTheAgentIsThere(t *testing.T) {
	r := start(t, nil)
	apply := func(change func(*egress.Document)) {
		t.Helper()
		if _, err := r.ctl(t, CommandApply, document(change)); err != nil {
			t.Fatal(err)
		}
	}
	apply(nil)
	agentWord(t, r.stdout, "")
	apply(withAgentKey)
	agentWord(t, r.stdout, egress.AgentGone)

	other, _ := relayTo(t, r.opts.ControlSocket, hello(lentKey(2)))
	agentWord(t, r.stdout, egress.AgentGone) // one for another key is none
	first, reply := relayTo(t, r.opts.ControlSocket, hello(lentKey(2), lentKey(1)))
	if !reply.OK {
		t.Fatal(reply.Error)
	}
	agentWord(t, r.stdout, egress.AgentConnected)
	if n, err := other.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the one before still reads: %d, %v", n, err)
	}
	second, _ := relayTo(t, r.opts.ControlSocket, hello(lentKey(1)))
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the one before still reads: %v", err)
	}
	agentWord(t, r.stdout, egress.AgentConnected)
	_ = second.Close()
	agentWord(t, r.stdout, egress.AgentGone)
	apply(nil)
	agentWord(t, r.stdout, "")
	if strings.Contains(r.stdout.String()+r.stderr.String(), lentKey(1)[20:]) {
		t.Error("a key stands in what the sidecar says")
	}
}

func TestAgentRefusesMalformedKeys(t *testing.T) {
	r := start(t, nil)
	for _, line := range []string{
		"", "{}", `{"keys":[]}`, `{"keys":["ssh-ed25519 AAAA"]}`, `{"keys":["` + lentKey(1) + ` x"]}`,
		`{"keys":["` + lentKey(1) + `"],"more":1}`, "x",
	} {
		if _, reply := relayTo(t, r.opts.ControlSocket, line); reply.OK || reply.Error == "" {
			t.Errorf("%q: %+v", line, reply)
		}
	}
}

// echo answers every question with its own bytes.
func echo(conn io.ReadWriteCloser) {
	for {
		m, err := readMessage(conn)
		if err != nil || writeMessage(conn, m) != nil {
			return
		}
	}
}

func TestClientsOfTheAgentTakeTurns(t *testing.T) {
	a, far := linked(t)
	go echo(far)
	done := make(chan error, 8)
	for i := range cap(done) {
		go func() {
			done <- func() error {
				conn, err := a.HostAgent(t.Context())
				if err != nil {
					return err
				}
				defer conn.Close()
				for n := range 50 {
					question := bytes.Repeat([]byte{byte(i + 1)}, 1+997*n)
					if err := writeMessage(conn, question); err != nil {
						return err
					}
					if answer, err := readMessage(conn); err != nil || !bytes.Equal(answer, question) {
						return errors.New("got the answer to another question")
					}
				}
				return nil
			}()
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// linked is a connected agent, and the host's end of its stream.
func linked(t *testing.T) (*hostAgent, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	link := newAgentLink(near, []string{lentKey(1)})
	a := &hostAgent{}
	a.swap(nil, link)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		link.run()
		a.swap(link, nil)
	}()
	t.Cleanup(func() {
		far.Close()
		<-ended
	})
	return a, far
}

// A host that hangs, floods or breaks the form loses its stream; who asked is
// told so, and the next who asks too.
func TestAHostThatMisbehavesIsCutOff(t *testing.T) {
	for name, far := range map[string]func(net.Conn){
		"silent":     func(c net.Conn) { _, _ = readMessage(c) },
		"hangs up":   func(c net.Conn) { _, _ = readMessage(c); c.Close() },
		"too large":  func(c net.Conn) { _, _ = readMessage(c); _, _ = c.Write([]byte{0, 4, 0, 1, 5}) },
		"empty":      func(c net.Conn) { _, _ = readMessage(c); _, _ = c.Write([]byte{0, 0, 0, 0}) },
		"unasked":    func(c net.Conn) { _ = writeMessage(c, []byte{5}) },
		"two for 1":  func(c net.Conn) { m, _ := readMessage(c); _ = writeMessage(c, m); _ = writeMessage(c, m) },
		"never read": func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			near, host := net.Pipe()
			link := newAgentLink(near, []string{lentKey(1)})
			link.ask, link.ping = 200*time.Millisecond, time.Hour
			a := &hostAgent{}
			a.swap(nil, link)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				link.run()
				a.swap(link, nil)
			}()
			conn, err := a.HostAgent(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			go far(host)
			began := time.Now()
			if name == "unasked" { // or it may pass for the answer
				<-ended
			}
			_ = writeMessage(conn, requestIdentities)
			_, err = readMessage(conn)
			if err == nil && name != "two for 1" {
				t.Error("an answer")
			}
			if name == "two for 1" {
				_, _ = readMessage(conn) // the stream's end, at the latest
			}
			select {
			case <-ended:
			case <-time.After(deadline):
				t.Fatal("the stream lives on")
			}
			if _, err := a.HostAgent(t.Context()); !errors.Is(err, errNoAgent) {
				t.Errorf("asked again: %v", err)
			}
			if time.Since(began) > deadline {
				t.Error("too slow")
			}
			_, _ = conn.Close(), host.Close()
		})
	}
}

// A host that is gone without a word is noticed while nobody asks.
func TestAnIdleHostIsLookedAfter(t *testing.T) {
	near, host := net.Pipe()
	defer host.Close()
	link := newAgentLink(near, []string{lentKey(1)})
	link.ask, link.ping = 50*time.Millisecond, 20*time.Millisecond
	asked := make(chan []byte, 1)
	go func() {
		m, _ := readMessage(host)
		asked <- m
	}()
	link.run()
	if m := <-asked; !bytes.Equal(m, requestIdentities) {
		t.Errorf("asked %x", m)
	}
}

func TestNobodyConnected(t *testing.T) {
	var a hostAgent
	if _, err := a.HostAgent(t.Context()); err == nil || err.Error() != "the host's ssh-agent is not connected" {
		t.Errorf("%v", err)
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 11})
	f.Add([]byte{255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := readMessage(bytes.NewReader(b)); err == nil && (len(m) == 0 || len(m) > egress.MaxAgentMessage) {
			t.Errorf("%d bytes", len(m))
		}
	})
}
