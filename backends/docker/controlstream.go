package docker

import (
	"context"
	"io"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// ControlStream carries a conversation with the sidecar's control socket. The
// command in the container ends with its standard input, and that with the
// connection to the engine, also where this process is killed.
func (d *Driver) ControlStream(ctx context.Context, id spec.ID, verb string, stdin io.Reader, stdout io.Writer) error {
	c, err := d.running(ctx, id, spec.RoleSidecar)
	if err != nil {
		return err
	}
	said := &guest.Tail{Limit: 4 << 10}
	res, err := d.command(ctx, c.ID, command{
		argv: []string{sidecarBinary, "sidecar", "ctl", verb, "--control", controlSocket},
		user: sidecarUser, stdin: stdin, stdout: stdout, stderr: said,
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return d.wrap(err, "sidecar of %s: %s", id, verb)
	}
	if res.code != 0 {
		return diag.Errorf("sidecar of %s: %s: %s", id, verb, lastLines(said.String(), 3)).
			WithHint("'bb logs --sidecar %s' shows more", id)
	}
	return nil
}
