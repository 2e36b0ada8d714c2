package host

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/bot-bottle/bb/engine/diag"
)

// agentTime bounds a list of keys: an agent that hangs must not hold a plan.
const agentTime = 2 * time.Second

// errNoAgent says that there is none to ask.
var errNoAgent = errors.New("SSH_AUTH_SOCK is not set")

// DialAgent connects to the user's ssh-agent.
func DialAgent(ctx context.Context) (net.Conn, error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, errNoAgent
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, errors.New("the ssh-agent at SSH_AUTH_SOCK does not answer (" + diag.Cause(err).Error() + ")")
	}
	return conn, nil
}

// agentHas reports whether the user's ssh-agent lists a public key.
func agentHas(ctx context.Context, public ssh.PublicKey) (bool, error) {
	if public == nil {
		return false, nil
	}
	keys, err := agentKeys(ctx)
	for _, k := range keys {
		if bytes.Equal(k.Blob, public.Marshal()) {
			return true, nil
		}
	}
	return false, err
}

func agentKeys(ctx context.Context) ([]*agent.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, agentTime)
	defer cancel()
	conn, err := DialAgent(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	keys, err := agent.NewClient(conn).List()
	if err != nil {
		return nil, errors.New("the ssh-agent at SSH_AUTH_SOCK does not list its keys")
	}
	return keys, nil
}
