package host

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/bot-bottle/bb/egress"
)

// relayed is a relay that serves, and the sidecar's end of its stream.
type relayed struct {
	agent.ExtendedAgent
	conn  net.Conn
	ended chan error
	mu    sync.Mutex
	notes []string
}

func (r *relayed) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.notes, "\n")
}

const pinned = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

func relay(t *testing.T, change func(*AgentRelay), keys ...ssh.PublicKey) *relayed {
	t.Helper()
	near, far := net.Pipe()
	out := &relayed{ExtendedAgent: agent.NewClient(near), conn: near, ended: make(chan error, 1)}
	r := &AgentRelay{Dial: DialAgent, Note: func(format string, args ...any) {
		out.mu.Lock()
		defer out.mu.Unlock()
		out.notes = append(out.notes, fmt.Sprintf(format, args...))
	}}
	for _, k := range keys {
		r.Lent = append(r.Lent, Lent{
			Key:    egress.AgentCredential(k.Type(), k.Marshal()),
			Logins: []Login{{User: "git", HostKey: pinned}},
		})
	}
	if change != nil {
		change(r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { out.ended <- r.Serve(ctx, far) }()
	t.Cleanup(func() { cancel(); near.Close() })
	return out
}

func (r *relayed) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the relay serves on")
		return nil
	}
}

// loginData is what ssh signs; change edits it.
func loginData(key ssh.PublicKey, algorithm string, change func(*login)) []byte {
	l := login{
		Session: bytes.Repeat([]byte{7}, 32), Message: 50, User: "git", Service: "ssh-connection",
		Method: "publickey", Signed: true, Algorithm: algorithm, Key: key.Marshal(),
	}
	if change != nil {
		change(&l)
	}
	return ssh.Marshal(l)
}

func bound(host string) func(*login) {
	blob, err := egress.ParseAgent("ssh-agent " + host)
	if err != nil {
		panic(err)
	}
	return func(l *login) {
		l.Method = "publickey-hostbound-v00@openssh.com"
		l.Rest = ssh.Marshal(struct{ Host []byte }{blob})
	}
}

func TestRelaySignsLogins(t *testing.T) {
	startAgent(t)
	for name, c := range map[string]struct {
		args      []string
		algorithm string
		flags     agent.SignatureFlags
	}{
		"ed25519": {[]string{"-t", "ed25519"}, "ssh-ed25519", 0},
		"ecdsa":   {[]string{"-t", "ecdsa"}, "ecdsa-sha2-nistp256", 0},
		"rsa 256": {[]string{"-t", "rsa", "-b", "2048"}, "rsa-sha2-256", agent.SignatureFlagRsaSha256},
		"rsa 512": {[]string{"-t", "rsa", "-b", "2048"}, "rsa-sha2-512", agent.SignatureFlagRsaSha512},
	} {
		t.Run(name, func(t *testing.T) {
			path := keygen(t, append(c.args, "-N", passphrase)...)
			addKey(t, path)
			key := publicOf(t, path)
			r := relay(t, nil, key)
			for _, change := range []func(*login){nil, bound(pinned)} {
				data := loginData(key, c.algorithm, change)
				s, err := r.SignWithFlags(key, data, c.flags)
				if err != nil {
					t.Fatalf("%v; %s", err, r.said())
				}
				if err := key.Verify(data, s); err != nil || s.Format != c.algorithm {
					t.Errorf("signature of format %s: %v", s.Format, err)
				}
			}
			if !strings.Contains(r.said(), `signed for "git" with SHA256:`) {
				t.Errorf("the log says %q", r.said())
			}
		})
	}
}

func TestRelayListsWhatIsLentAndNothingOfIt(t *testing.T) {
	startAgent(t)
	lent, own := keygen(t, "-t", "ed25519", "-N", passphrase), keygen(t, "-t", "ed25519", "-N", passphrase)
	addKey(t, lent)
	addKey(t, own)
	r := relay(t, nil, publicOf(t, lent))
	keys, err := r.List()
	if err != nil || len(keys) != 1 || !bytes.Equal(keys[0].Blob, publicOf(t, lent).Marshal()) || keys[0].Comment != "" {
		t.Errorf("%v, %v", keys, err)
	}
	run(t, nil, "ssh-add", "-q", "-d", lent)
	if keys, err := r.List(); err != nil || len(keys) != 0 {
		t.Errorf("after ssh-add -d: %v, %v", keys, err)
	}
	if _, err := r.Sign(publicOf(t, lent), loginData(publicOf(t, lent), "ssh-ed25519", nil)); err == nil {
		t.Error("signed with a key that was taken back")
	}
}

// What a sidecar in the wrong hands could ask for.
func TestRelayRefuses(t *testing.T) {
	startAgent(t)
	path, otherPath, rsaPath := keygen(t, "-t", "ed25519", "-N", passphrase), keygen(t, "-t", "ed25519", "-N", passphrase), keygen(t, "-t", "rsa", "-b", "2048", "-N", passphrase)
	for _, p := range []string{path, otherPath, rsaPath} {
		addKey(t, p)
	}
	key, other, rsa := publicOf(t, path), publicOf(t, otherPath), publicOf(t, rsaPath)
	r := relay(t, nil, key, rsa)
	const kind = "ssh-ed25519"
	long := bytes.Repeat([]byte{1}, egress.MaxAgentMessage/2)
	for name, c := range map[string]struct {
		key   ssh.PublicKey
		data  []byte
		flags agent.SignatureFlags
	}{
		"another key":          {other, loginData(other, kind, nil), 0},
		"another key's login":  {key, loginData(other, kind, nil), 0},
		"a file (sshsig)":      {key, []byte("SSHSIG\x00\x00\x00\x03git\x00\x00\x00\x00\x00\x00\x00\x06sha512"), 0},
		"a commit":             {key, []byte("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"), 0},
		"nothing":              {key, nil, 0},
		"long":                 {key, long, 0},
		"another user":         {key, loginData(key, kind, func(l *login) { l.User = "root" }), 0},
		"another service":      {key, loginData(key, kind, func(l *login) { l.Service = "ssh-userauth" }), 0},
		"another message":      {key, loginData(key, kind, func(l *login) { l.Message = 80 }), 0},
		"no signature wanted":  {key, loginData(key, kind, func(l *login) { l.Signed = false }), 0},
		"by host":              {key, loginData(key, kind, func(l *login) { l.Method = "hostbased" }), 0},
		"another algorithm":    {key, loginData(key, "ssh-ed25519-cert-v01@openssh.com", nil), 0},
		"no session":           {key, loginData(key, kind, func(l *login) { l.Session = nil }), 0},
		"text behind":          {key, loginData(key, kind, func(l *login) { l.Rest = []byte{1} }), 0},
		"another host":         {key, loginData(key, kind, bound("ssh-ed25519 "+strings.Replace(strings.Fields(pinned)[1], "ABAgM", "CBAgM", 1))), 0},
		"a host of no bytes":   {key, loginData(key, kind, func(l *login) { l.Method, l.Rest = byKeyToHost, make([]byte, 4) }), 0},
		"rsa with sha1":        {rsa, loginData(rsa, "ssh-rsa", nil), 0},
		"rsa, flags of sha1":   {rsa, loginData(rsa, "rsa-sha2-256", nil), 0},
		"rsa, flags of others": {rsa, loginData(rsa, "rsa-sha2-256", nil), agent.SignatureFlagRsaSha512},
	} {
		if s, err := r.SignWithFlags(c.key, c.data, c.flags); err == nil {
			t.Errorf("%s: signed: %v", name, s)
		}
	}
	for name, ask := range map[string]func() error{
		"add":       func() error { return r.Add(agent.AddedKey{PrivateKey: mustRaw(t)}) },
		"remove":    func() error { return r.Remove(key) },
		"removeAll": r.RemoveAll,
		"lock":      func() error { return r.Lock([]byte("x")) },
		"unlock":    func() error { return r.Unlock([]byte("x")) },
		"extension": func() error { _, err := r.Extension("session-bind@openssh.com", []byte("x")); return err },
	} {
		if err := ask(); err == nil {
			t.Errorf("%s: done", name)
		}
	}
	if keys, err := r.List(); err != nil || len(keys) != 2 {
		t.Errorf("after all that: %v, %v", keys, err)
	}
	if _, err := r.Sign(key, loginData(key, kind, nil)); err != nil {
		t.Errorf("a login after all that: %v", err)
	}
	if n := strings.Count(r.said(), "refused"); n < 24 {
		t.Errorf("%d lines say refused:\n%s", n, r.said())
	}
}

func mustRaw(t *testing.T) any {
	t.Helper()
	raw, err := ssh.ParseRawPrivateKey([]byte(read(t, keygen(t, "-t", "ed25519", "-N", ""))))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRelayIsBounded(t *testing.T) {
	startAgent(t)
	path := keygen(t, "-t", "ed25519", "-N", passphrase)
	addKey(t, path)
	key := publicOf(t, path)
	data := loginData(key, "ssh-ed25519", nil)

	r := relay(t, func(r *AgentRelay) { r.perMinute = 3 }, key)
	for i := range 5 {
		if _, err := r.Sign(key, data); (err == nil) != (i < 3) {
			t.Errorf("signature %d: %v", i, err)
		}
	}
	if !strings.Contains(r.said(), "more than 3 signatures in a minute") {
		t.Error(r.said())
	}
	for name, message := range map[string][]byte{"empty": {0, 0, 0, 0}, "too large": {0, 4, 0, 1}, "huge": {255, 255, 255, 255}} {
		r := relay(t, nil, key)
		if _, err := r.conn.Write(message); err != nil {
			t.Error(err)
		}
		if err := r.end(t); !strings.Contains(err.Error(), "the sidecar is gone") {
			t.Errorf("%s: %v", name, err)
		}
	}
	flooded := relay(t, nil, key)
	for range asksPerMinute {
		if _, err := flooded.List(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := flooded.List(); err == nil {
		t.Error("asked without end")
	}
	if err := flooded.end(t); !strings.Contains(err.Error(), "asks more than 600 times") {
		t.Error(err)
	}
	silent := relay(t, func(r *AgentRelay) { r.silence = 50 * time.Millisecond }, key)
	if err := silent.end(t); err == nil {
		t.Error("a silent stream is served on")
	}
}

func TestRelayEndsWithTheAgent(t *testing.T) {
	socket := startAgent(t)
	path := keygen(t, "-t", "ed25519", "-N", passphrase)
	addKey(t, path)
	for name, ask := range map[string]func(*relayed) error{
		"list": func(r *relayed) error { _, err := r.List(); return err },
		"sign": func(r *relayed) error {
			_, err := r.Sign(publicOf(t, path), loginData(publicOf(t, path), "ssh-ed25519", nil))
			return err
		},
	} {
		r := relay(t, nil, publicOf(t, path))
		if err := ask(r); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(socket, socket+"x"); err != nil {
			t.Fatal(err)
		}
		if err := ask(r); err == nil {
			t.Errorf("%s without an agent succeeds", name)
		}
		if err := r.end(t); err.Error() != "the ssh-agent is gone" {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Rename(socket+"x", socket); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever a sidecar sends, nothing but a lent login gets to the agent.
func FuzzJudge(f *testing.F) {
	public, err := ssh.ParsePublicKey(mustBlob(pinned))
	if err != nil {
		f.Fatal(err)
	}
	r := &AgentRelay{perMinute: 1 << 30, Lent: []Lent{{Key: "ssh-agent " + pinned, Logins: []Login{{"git", pinned}}}}}
	f.Add(loginData(public, "ssh-ed25519", nil), uint32(0))
	f.Add(loginData(public, "ssh-ed25519", bound(pinned)), uint32(0))
	f.Fuzz(func(t *testing.T, data []byte, flags uint32) {
		r.signed = nil
		if _, err := r.judge(public.Marshal(), data, flags); err != nil {
			return
		}
		var l login
		if ssh.Unmarshal(data, &l) != nil || l.User != "git" || !bytes.Equal(ssh.Marshal(l), data) || flags != 0 {
			t.Errorf("passed: %x %d", data, flags)
		}
	})
}

func mustBlob(key string) []byte {
	blob, err := egress.ParseAgent("ssh-agent " + key)
	if err != nil {
		panic(err)
	}
	return blob
}
