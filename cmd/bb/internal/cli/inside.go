package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/door"
	"github.com/bot-bottle/bb/egress/door/session"
	"github.com/bot-bottle/bb/egress/sidecar"
	"github.com/bot-bottle/bb/engine/spec"
)

// doorCmd is bb on the bottle's side: docs/contracts.md fixes these words.
type doorCmd struct {
	Init struct{} `cmd:"" help:"Be the first process and serve the door."`
	Env  struct{} `cmd:"" help:"Store the environment given on standard input."`
	Boot struct {
		Host []string `help:"Another name of the bottle." placeholder:"NAME"`
	} `cmd:"" help:"Prepare a machine as root, then be its first process as the agent's user."`
	Probe struct{} `cmd:"" help:"Check that the door leads to a sidecar that enforces."`
	Alone struct {
		HostPort int `help:"A port that the host listens on, at its loopback." placeholder:"PORT"`
	} `cmd:"" help:"Check that nothing but the door leads out."`
	Session struct {
		Name     string `help:"Refuse to run beside another session of this name." placeholder:"NAME"`
		Terminal string `help:"Give the command a terminal." placeholder:"TYPE:ROWSxCOLS"`
		Bare     bool   `help:"Leave the stored environment out."`
		// Processes is the limit of a machine, which no engine enforces.
		Processes uint64   `help:"Let the user have so many processes." placeholder:"N"`
		Argv      []string `arg:"" passthrough:"" help:"Command to run."`
	} `cmd:"" help:"Run a command for a client that speaks frames on standard input and error."`
	Pack struct {
		Skip     bool   `help:"Leave out what is refused."`
		Optional bool   `help:"Write nothing where there is nothing."`
		Path     string `arg:"" help:"File or directory of the bottle."`
	} `cmd:"" help:"Write a file or directory to standard output, as tar."`
	Talks struct {
		Match string `help:"Only files whose path from there matches." placeholder:"PATTERN"`
		Dir   string `arg:"" help:"Directory in which a program keeps conversations."`
	} `cmd:"" help:"Say when something was last said, as JSON."`
	Unpack struct {
		Base string `help:"Name of the tree in a directory that exists; without one its content goes there."`
		Any  bool   `help:"Take an archive of any names."`
		Skip bool   `help:"Leave out what is refused."`
		Path string `arg:"" help:"Where it goes."`
	} `cmd:"" help:"Write what comes on standard input, as tar."`
}

// sidecarCmd is bb between a bottle and the world.
type sidecarCmd struct {
	Run struct {
		Door    string `help:"Socket to listen on for the bottle." placeholder:"SOCKET" required:""`
		Control string `help:"Socket to listen on for the host." placeholder:"SOCKET" required:""`
		CA      string `help:"Directory of the certificate authority." placeholder:"DIR" required:""`

		Pipelock    string `help:"The pipelock program, where a policy may want it." placeholder:"FILE"`
		PipelockDir string `help:"Private directory for its configuration." placeholder:"DIR"`
	} `cmd:"" help:"Be the sidecar."`
	Host struct {
		Pipelock string `help:"The pipelock program, where a policy may want it." placeholder:"FILE"`
		Confined bool   `help:"The process is confined already."`
	} `cmd:"" help:"Be the sidecar of a machine, confined to the working directory."`
	Ctl struct {
		Command string `arg:"" help:"apply, get, ca, log, agent or supervise."`
		Control string `help:"The sidecar's control socket." placeholder:"SOCKET" required:""`
		Key     string `help:"File with the key that the sidecar wants to hear first." placeholder:"FILE"`
		Follow  bool   `help:"log: go on until standard input ends."`
		Since   int64  `help:"log: position to begin at." placeholder:"BYTES"`
		Log     string `help:"log: git for that of pushes." placeholder:"NAME"`
	} `cmd:"" help:"Send one command to a running sidecar."`
	Relay struct{} `cmd:"" help:"Be the way of one image build to a parent proxy."`
}

// inside runs the commands that exist only in containers and machines.
func (a *app) inside(ctx context.Context, command string) error {
	ctx, release := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer release()
	switch command {
	case "door init":
		return door.Init(ctx, door.Options{})
	case "door boot":
		return door.Boot(ctx, door.Options{}, door.User{UID: spec.UID, GID: spec.GID}, a.g.Door.Boot.Host)
	case "door alone":
		return door.Alone(a.g.Door.Alone.HostPort)
	case "door env":
		return door.StoreEnv(a.stdin)
	case "door probe":
		return door.Probe(ctx)
	case "door session <argv>":
		return a.session()
	case "door pack <path>":
		o := a.g.Door.Pack
		r, err := door.Pack(o.Path, door.Copy{Skip: o.Skip, Optional: o.Optional}, a.stdout)
		leftOut(a.stderr, &r.Refused, err)
		return err
	case "door talks <dir>":
		t, err := door.Talks(a.g.Door.Talks.Dir, a.g.Door.Talks.Match)
		if err != nil {
			return err
		}
		return json.NewEncoder(a.stdout).Encode(t)
	case "door unpack <path>":
		o := a.g.Door.Unpack
		r, err := door.Unpack(o.Path, door.Copy{Base: o.Base, Any: o.Any, Skip: o.Skip}, a.stdin)
		leftOut(a.stderr, &r.Refused, err)
		return err
	case "sidecar run":
		o := a.g.Sidecar.Run
		return sidecar.Run(ctx, sidecar.Options{
			DoorSocket: o.Door, ControlSocket: o.Control, CADir: o.CA,
			Instance: os.Getenv("BB_INSTANCE"), Build: Version, Pipelock: o.Pipelock, PipelockDir: o.PipelockDir,
			Stdout: a.stdout, Stderr: a.stderr,
		})
	case "sidecar host":
		return a.sidecarHost(ctx)
	case "sidecar relay":
		return sidecar.Relay(ctx, egress.RelayAddress, a.stdin, a.stdout, a.stderr)
	case "sidecar ctl <command>":
		return a.sidecarCtl(ctx)
	}
	return errors.New("unknown command " + command)
}

func (a *app) sidecarCtl(ctx context.Context) error {
	o := a.g.Sidecar.Ctl
	at := sidecar.Control{Socket: o.Control}
	if o.Key != "" {
		f, err := os.Open(o.Key)
		if err != nil {
			return err
		}
		defer f.Close()
		if at.Key, err = egress.ReadControlKey(f); err != nil {
			return fmt.Errorf("%s: %w", o.Key, err)
		}
	}
	switch o.Command {
	case sidecar.CommandLog:
		return sidecar.CtlLog(ctx, at, egress.LogRequest{Log: o.Log, Since: o.Since, Follow: o.Follow}, a.stdin, a.stdout)
	case sidecar.CommandAgent, sidecar.CommandSupervise:
		return sidecar.CtlTalk(ctx, at, o.Command, a.stdin, a.stdout)
	}
	return sidecar.Ctl(ctx, at, o.Command, a.stdin, a.stdout)
}

// session says nothing on standard error: that is the client's.
func (a *app) session() error {
	o := a.g.Door.Session
	terminal, err := session.ParseTerminal(o.Terminal)
	if err != nil {
		return err
	}
	code, err := session.Serve(session.Options{Name: o.Name, Terminal: terminal, Bare: o.Bare, Processes: o.Processes}, behindDashes(o.Argv))
	if err != nil {
		return err
	}
	return exitWith(code)
}
