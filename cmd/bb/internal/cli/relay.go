package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/host"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// relayCmd is bb between a sidecar and the user's ssh-agent, while no command of
// bb runs.
type relayCmd struct {
	Agent struct {
		Instance string `arg:"" help:"Name of the bottle, for people: what counts is on descriptor 3."`
	} `cmd:"" help:"Sign for one sidecar with keys of the ssh-agent."`
}

// relayConfig is what a relay is told. No part of it is a secret.
type relayConfig struct {
	Instance spec.ID     `json:"instance"`
	Backend  string      `json:"backend"`
	Lent     []host.Lent `json:"lent"`
	// About is written into the relay's file.
	About string `json:"about"`
}

// Descriptors of a relay besides standard input and output, which are closed.
const (
	relayConfigFD = 3
	relayReadyFD  = 4
)

// relay serves until the sidecar or the ssh-agent is gone, or it is told to end.
// Whether it began is said on descriptor 4; after that only its log hears of it.
func (a *app) relay(ctx context.Context) error {
	signal.Ignore(syscall.SIGHUP) // it outlives the terminal
	ctx, release := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer release()
	in, ready := os.NewFile(relayConfigFD, "config"), os.NewFile(relayReadyFD, "ready")
	if in == nil || ready == nil {
		return errors.New("bb apply starts it")
	}
	defer ready.Close()
	err := a.serveRelay(ctx, in, func() {
		_, _ = io.WriteString(ready, "ok\n")
		_ = ready.Close()
	})
	if err != nil {
		_, _ = fmt.Fprintln(ready, err.Error()) // if it has not begun
	}
	return err
}

func (a *app) serveRelay(ctx context.Context, in io.ReadCloser, begun func()) error {
	var c relayConfig
	err := json.NewDecoder(io.LimitReader(in, 1<<20)).Decode(&c)
	_ = in.Close()
	if err != nil {
		return errors.New("the relay was told nothing")
	}
	st, err := state.Read(a.g.Home)
	if err != nil {
		return err
	}
	held, err := holdRelay(relayFile(st.Dir, c.Instance), c.About)
	if err != nil {
		return err
	}
	defer held.Close()
	log, err := openBoundedLog(relayFile(st.Dir, c.Instance) + ".log")
	if err != nil {
		return err
	}
	defer log.Close()
	driver, err := a.driver(c.Backend, st)
	if err != nil {
		return err
	}
	stream, err := openRelay(ctx, driver, c)
	if err != nil {
		return err
	}
	defer stream.Close()
	log.note("connected to %s for %d keys", c.Instance.Name(), len(c.Lent))
	begun()
	r := host.AgentRelay{Lent: c.Lent, Dial: host.DialAgent, Note: log.note}
	err = r.Serve(ctx, stream)
	log.note("ended: %v", err)
	return nil
}

// relayStream is a control stream that has a beginning.
type relayStream struct {
	io.Reader
	io.WriteCloser
	end func()
}

func (s relayStream) Close() error {
	s.end()
	return s.WriteCloser.Close()
}

// openRelay opens the control stream and says which keys it is for.
func openRelay(ctx context.Context, d backends.Driver, c relayConfig) (io.ReadWriteCloser, error) {
	hello := egress.AgentHello{}
	for _, l := range c.Lent {
		hello.Keys = append(hello.Keys, l.Key)
	}
	line, err := json.Marshal(hello)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	toSidecar, in := io.Pipe()
	out, fromSidecar := io.Pipe()
	go func() {
		err := d.ControlStream(ctx, c.Instance, "agent", toSidecar, fromSidecar)
		if err == nil {
			err = io.EOF
		}
		_ = fromSidecar.CloseWithError(err)
		_ = toSidecar.CloseWithError(err)
	}()
	end := func() { cancel(); _ = out.Close() }
	if _, err := in.Write(append(line, '\n')); err != nil {
		end()
		return nil, err
	}
	from := bufio.NewReader(out)
	answer, err := from.ReadBytes('\n')
	var reply egress.Reply
	switch {
	case errors.Is(err, io.EOF):
		err = diag.Errorf("the sidecar hung up").WithHint("'bb logs --sidecar %s' shows more", c.Instance)
	case err == nil && json.Unmarshal(answer, &reply) != nil:
		err = diag.Errorf("the answer of the sidecar is not readable")
	case err == nil && !reply.OK:
		err = diag.Errorf("the sidecar refuses the ssh-agent: %s", reply.Error)
	}
	if err != nil {
		end()
		return nil, err
	}
	return relayStream{from, in, end}, nil
}
