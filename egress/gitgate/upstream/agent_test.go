package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/bot-bottle/bb/egress/gitgate/gittest"
)

// hostAgent is an ssh-agent of the host that holds some keys.
func hostAgent(t *testing.T, keys ...string) func(context.Context) (io.ReadWriteCloser, error) {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		raw, err := ssh.ParseRawPrivateKey([]byte(k))
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: raw}); err != nil {
			t.Fatal(err)
		}
	}
	return func(context.Context) (io.ReadWriteCloser, error) {
		here, there := net.Pipe()
		go func() { _ = agent.ServeAgent(ring, there) }()
		return here, nil
	}
}

func public(t *testing.T, key string) ssh.PublicKey {
	t.Helper()
	signer, err := ssh.ParsePrivateKey([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey()
}

func credential(t *testing.T, key string) string {
	return "ssh-agent " + string(ssh.MarshalAuthorizedKey(public(t, key)))
}

func TestHostAgent(t *testing.T) {
	t.Parallel()
	s := gittest.NewSSH(t, gittest.Options{})
	a, r := access(t), sshRepo(s, "r")
	r.Credential = credential(t, s.Key)
	a.HostAgent = hostAgent(t, s.StrangerKey, s.Key)
	works(t, a, r, gittest.NewRepo(t, s.Root, "r"))
}

func TestHostAgentFailures(t *testing.T) {
	t.Parallel()
	s := gittest.NewSSH(t, gittest.Options{})
	for name, c := range map[string]struct {
		agent func(context.Context) (io.ReadWriteCloser, error)
		text  string
	}{
		"none":   {nil, "run 'bb apply' on the host"},
		"gone":   {func(context.Context) (io.ReadWriteCloser, error) { return nil, errors.New("gone") }, "run 'bb apply' on the host"},
		"other":  {hostAgent(t, s.StrangerKey), "does not have the key of this remote: add it there with ssh-add"},
		"silent": {func(context.Context) (io.ReadWriteCloser, error) { c, _ := net.Pipe(); return c, nil }, "does not answer"},
		"stuck":  {func(ctx context.Context) (io.ReadWriteCloser, error) { <-ctx.Done(); return nil, ctx.Err() }, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, r, m := access(t), sshRepo(s, "r"), mirror(t)
			r.Credential, a.HostAgent = credential(t, s.Key), c.agent
			fails(t, Agent, c.text, func() error { _, err := run(t, a, r, m.Dir, "ls-remote", r.URL); return err })
		})
	}
}

// The socket signs with the one key, and does nothing else.
func TestSocketOnlySigns(t *testing.T) {
	t.Parallel()
	key, _ := gittest.NewKey(t)
	other, _ := gittest.NewKey(t)
	open := func() (agent.ExtendedAgent, func(), error) {
		c, err := hostAgent(t, key, other)(t.Context())
		return agent.NewClient(c), func() { c.Close() }, err
	}
	dir, err := os.MkdirTemp("", "bb-run") //nolint:usetesting // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	socket, end, err := serveAgent(filepath.Join(dir, "agent"), public(t, key), open)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	dial := func() agent.ExtendedAgent {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return agent.NewClient(c)
	}
	client := dial()
	keys, err := client.List()
	if err != nil || len(keys) != 1 || keys[0].Comment != "" {
		t.Fatalf("%v %v", keys, err)
	}
	data := []byte("data")
	signature, err := client.Sign(public(t, key), data)
	if err != nil || public(t, key).Verify(data, signature) != nil {
		t.Errorf("it does not sign: %v", err)
	}
	raw, err := ssh.ParseRawPrivateKey([]byte(other))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(agent.ExtendedAgent) error{
		"sign with another": func(c agent.ExtendedAgent) error { _, err := c.Sign(public(t, other), data); return err },
		"add":               func(c agent.ExtendedAgent) error { return c.Add(agent.AddedKey{PrivateKey: raw}) },
		"remove":            func(c agent.ExtendedAgent) error { return c.Remove(public(t, key)) },
		"remove all":        func(c agent.ExtendedAgent) error { return c.RemoveAll() },
		"lock":              func(c agent.ExtendedAgent) error { return c.Lock([]byte("x")) },
		"unlock":            func(c agent.ExtendedAgent) error { return c.Unlock([]byte("x")) },
		"extension":         func(c agent.ExtendedAgent) error { _, err := c.Extension("query", nil); return err },
	} {
		if f(dial()) == nil {
			t.Errorf("%s: it did", name)
		}
	}
	if keys, err := dial().List(); err != nil || len(keys) != 1 {
		t.Errorf("afterwards: %v %v", keys, err)
	}
	end()
	if _, err := client.Sign(public(t, key), data); err == nil {
		t.Error("it signs after its end")
	}
	if _, err := net.DialTimeout("unix", socket, time.Second); err == nil {
		t.Error("it listens after its end")
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	logins := map[string]login{
		"https://git.example.com:443": {"robot", "token"}, "http://proxy.example.com:3128": {"me", "password"},
	}
	for prompt, want := range map[string]string{
		"Username for 'https://git.example.com': ":                                   "robot",
		"Username for 'https://git.example.com:443': ":                               "robot",
		"Password for 'https://robot@git.example.com': ":                             "token",
		"Password for 'http://me@proxy.example.com:3128': ":                          "password",
		"Password for 'https://evil@git.example.com': ":                              "",
		"Password for 'https://robot@evil.example.com': ":                            "",
		"Password for 'http://robot@git.example.com': ":                              "",
		"Password for 'https://robot@git.example.com:444': ":                         "",
		"Password for 'https://robot@git.example.com@evil.example.com': ":            "",
		"Password for 'https://evil.example.com/https://robot@git.example.com': ":    "",
		"Password for 'https://robot@git.example.com\nhost=evil.example.com': ":      "",
		"Password for 'https://robot@git.example.com%0ahost=evil': ":                 "",
		"Password for 'https://robot@git.example.com#@evil.example.com': ":           "",
		"Password for 'https://robot@git.example.com?x': ":                           "",
		"Password for 'https://robot@git.example.com\\@evil.example.com': ":          "",
		"Password for 'https://robot:x@git.example.com': ":                           "",
		"Password for 'cert:///https://git.example.com': ":                           "",
		"Password for 'https://evil.example.com': ' for 'https://git.example.com': ": "",
		"Are you sure you want to continue connecting (yes/no)? ":                    "",
		"": "",
	} {
		if got, ok := match(prompt, logins); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", prompt, got, want)
		}
	}
}
