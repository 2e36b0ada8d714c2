package cli

import (
	"context"
	"os"

	"github.com/bot-bottle/bb/backends/smolvm/hostside"
	"github.com/bot-bottle/bb/egress/sidecar"
)

// sidecarHost is the sidecar of a machine: it confines itself, then serves.
func (a *app) sidecarHost(ctx context.Context) error {
	o := a.g.Sidecar.Host
	args := []string{"sidecar", "host", "--confined"}
	var programs []string
	if o.Pipelock != "" {
		args, programs = append(args, "--pipelock", o.Pipelock), []string{o.Pipelock}
	}
	if !o.Confined {
		return hostside.Become(args, programs)
	}
	key, err := hostside.Adopt()
	if err != nil {
		return err
	}
	at, err := hostside.Here()
	if err == nil {
		err = os.MkdirAll(at.Pipelock, 0o700)
	}
	if err != nil {
		return err
	}
	log, err := openBoundedLog(at.Log)
	if err != nil {
		return err
	}
	if err := log.takeStderr(); err != nil {
		return err
	}
	// How it ends is written to the log as standard error.
	return sidecar.Run(ctx, sidecar.Options{
		DoorSocket: at.Door, ControlSocket: at.Control, ControlKey: key, CADir: at.CA,
		Instance: os.Getenv("BB_INSTANCE"), Build: Version, Pipelock: o.Pipelock, PipelockDir: at.Pipelock,
		Stdout: log, Stderr: log,
	})
}
