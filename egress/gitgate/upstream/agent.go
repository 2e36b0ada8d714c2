package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agentWait is how long the host's ssh-agent may take to list its keys.
const agentWait = 5 * time.Second

// opener opens an agent that has the key, for one connection of ssh.
type opener func() (agent.ExtendedAgent, func(), error)

// keys is where the private half of a credential is. A credential that is a key
// never leaves this process's memory.
func (a *Access) keys(ctx context.Context, credential string) (ssh.PublicKey, opener, error) {
	if public, ok := strings.CutPrefix(credential, "ssh-agent "); ok {
		key, err := publicKey(public)
		if err != nil {
			return nil, nil, &Failure{Kind: Agent, Text: "the key of this remote is not one that an ssh-agent could have: run 'bb apply' on the host"}
		}
		return a.hostKeys(ctx, key)
	}
	raw, err := ssh.ParseRawPrivateKey([]byte(credential))
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, nil, &Failure{Kind: Permission, Text: "the key of this remote is encrypted: add it to the ssh-agent of the host with ssh-add, then run 'bb apply' there"}
	case err != nil:
		return nil, nil, &Failure{Kind: Permission, Text: "the key of this remote is no private key: name another identity_file in the bottle's manifest"}
	}
	keyring := agent.NewKeyring().(agent.ExtendedAgent)
	if err := keyring.Add(agent.AddedKey{PrivateKey: raw}); err != nil {
		return nil, nil, &Failure{Kind: Permission, Text: "the key of this remote is of a type that bb does not know: name another identity_file in the bottle's manifest"}
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return nil, nil, &Failure{Kind: Permission, Text: "the key of this remote is of a type that bb does not know: name another identity_file in the bottle's manifest"}
	}
	return signer.PublicKey(), func() (agent.ExtendedAgent, func(), error) { return keyring, func() {}, nil }, nil
}

func (a *Access) hostKeys(ctx context.Context, key ssh.PublicKey) (ssh.PublicKey, opener, error) {
	open := func() (agent.ExtendedAgent, func(), error) {
		if a.HostAgent == nil {
			return nil, nil, errors.New("there is none")
		}
		conn, err := a.HostAgent(ctx)
		if err != nil {
			return nil, nil, err
		}
		return agent.NewClient(conn), sync.OnceFunc(func() { _ = conn.Close() }), nil
	}
	silent := &Failure{Kind: Agent, Text: "the key of this remote is in the ssh-agent of the host, which does not answer: run 'bb apply' on the host"}
	type answer struct {
		has bool
		err error
	}
	answers := make(chan answer, 1)
	opened := make(chan func(), 1)
	go func() {
		host, end, err := open()
		if err != nil {
			answers <- answer{err: err}
			return
		}
		opened <- end
		listed, err := list(host, key)
		end()
		answers <- answer{len(listed) > 0, err}
	}()
	select {
	case got := <-answers:
		switch {
		case got.err != nil:
			return nil, nil, silent
		case !got.has:
			return nil, nil, &Failure{Kind: Agent, Text: "the ssh-agent of the host does not have the key of this remote: add it there with ssh-add, then run 'bb apply'"}
		}
		return key, open, nil
	case <-ctx.Done():
	case <-time.After(agentWait):
	}
	select {
	case end := <-opened:
		end() // and with it the one who waits
	default:
	}
	return nil, nil, silent
}

// list is the key, if the agent has it.
func list(from agent.Agent, key ssh.PublicKey) ([]*agent.Key, error) {
	keys, err := from.List()
	for _, k := range keys {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return []*agent.Key{{Format: key.Type(), Blob: key.Marshal()}}, err
		}
	}
	return nil, err
}

// serveAgent serves an agent with one key to processes of the same user until
// end is called.
func serveAgent(path string, key ssh.PublicKey, open opener) (socket string, end func(), err error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return "", nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return "", nil, err
	}
	var mu sync.Mutex
	closers := map[int]func(){}
	over := false
	go func() {
		for n := 0; ; n++ {
			conn, err := l.AcceptUnix()
			if err != nil {
				return
			}
			if checkPeer(conn) != nil || n >= maxClients {
				_ = conn.Close()
				continue
			}
			id := n
			go func() {
				defer conn.Close()
				from, done, err := open()
				if err != nil {
					return
				}
				stop := func() { done(); _ = conn.Close() }
				mu.Lock()
				if over {
					stop()
				}
				closers[id] = stop
				mu.Unlock()
				_ = agent.ServeAgent(&only{from, key}, struct{ io.ReadWriter }{conn})
				mu.Lock()
				delete(closers, id)
				mu.Unlock()
				stop()
			}()
		}
	}()
	return path, func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		over = true
		for _, stop := range closers {
			stop()
		}
	}, nil
}

// maxClients bounds how often one run may ask: git starts ssh once or twice.
const maxClients = 16

// only is an agent that lists one key and signs with it, and nothing else.
type only struct {
	agent agent.ExtendedAgent
	key   ssh.PublicKey
}

var errOnly = errors.New("this agent only signs")

func (o *only) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: o.key.Type(), Blob: o.key.Marshal()}}, nil
}

func (o *only) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	return o.SignWithFlags(key, data, 0)
}

func (o *only) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	if !bytes.Equal(key.Marshal(), o.key.Marshal()) {
		return nil, errOnly
	}
	return o.agent.SignWithFlags(o.key, data, flags)
}

func (o *only) Add(agent.AddedKey) error       { return errOnly }
func (o *only) Remove(ssh.PublicKey) error     { return errOnly }
func (o *only) RemoveAll() error               { return errOnly }
func (o *only) Lock([]byte) error              { return errOnly }
func (o *only) Unlock([]byte) error            { return errOnly }
func (o *only) Signers() ([]ssh.Signer, error) { return nil, errOnly }

func (o *only) Extension(string, []byte) ([]byte, error) { return nil, agent.ErrExtensionUnsupported }
