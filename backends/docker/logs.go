package docker

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Logs copies the agent's or the sidecar's output to w, running or not.
func (d *Driver) Logs(ctx context.Context, id spec.ID, r backends.LogRequest, w io.Writer) error {
	role := spec.RoleAgent
	if r.Sidecar {
		role = spec.RoleSidecar
	}
	c, err := d.find(ctx, id, role)
	if err != nil {
		return err
	}
	if c == nil {
		return diag.Errorf("%s has no %s", id, role).WithHint("'bb apply %s' brings it up", id.Agent)
	}
	tail := "all"
	if r.Tail > 0 {
		tail = strconv.Itoa(r.Tail)
	}
	logs, err := d.engine.ContainerLogs(ctx, c.ID, container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: r.Follow, Tail: tail,
	})
	if err != nil {
		return d.wrap(err, "logs of %s", id)
	}
	defer logs.Close()
	plain := &guest.PlainWriter{To: w}
	_, err = stdcopy.StdCopy(plain, plain, logs)
	if r.Follow && errors.Is(ctx.Err(), context.Canceled) {
		return nil // the reader has seen enough
	}
	return d.wrap(err, "logs of %s", id)
}
