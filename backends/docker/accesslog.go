package docker

import (
	"context"
	"io"
	"strconv"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// AccessLog copies one of the sidecar's logs to w. One that follows keeps the
// standard input of its command open: that ends with the connection to the
// engine, and with it the command, also where this process is killed.
func (d *Driver) AccessLog(ctx context.Context, id spec.ID, r egress.LogRequest, w io.Writer) error {
	c, err := d.running(ctx, id, spec.RoleSidecar)
	if err != nil {
		return err
	}
	said := &guest.Tail{Limit: 4 << 10}
	call := command{
		argv: []string{
			sidecarBinary, "sidecar", "ctl", "log", "--control", controlSocket,
			"--since", strconv.FormatInt(r.Since, 10),
		},
		user: sidecarUser, stdout: w, stderr: said,
	}
	if r.Log != egress.LogAccess {
		call.argv = append(call.argv, "--log", r.Log)
	}
	if r.Follow {
		call.argv = append(call.argv, "--follow")
		input, hold := io.Pipe()
		defer hold.Close()
		call.stdin = input
	}
	res, err := d.command(ctx, c.ID, call)
	if r.Follow && ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return d.wrap(err, "log of %s", id)
	}
	if res.code != 0 {
		return diag.Errorf("log of %s: %s", id, lastLines(said.String(), 3)).
			WithHint("'bb logs --sidecar %s' shows more", id)
	}
	return nil
}
