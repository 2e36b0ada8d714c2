package docker

import (
	"context"

	"github.com/containerd/errdefs"

	"github.com/bot-bottle/bb/engine/spec"
)

// Sessions counts the execs that the engine runs in the agent: it knows of
// each, whatever the bottle says. It lists those that were never started too,
// so each is asked about.
func (d *Driver) Sessions(ctx context.Context, id spec.ID) (int, error) {
	c, err := d.find(ctx, id, spec.RoleAgent)
	if err != nil || c == nil || !c.State.Running {
		return 0, err
	}
	n := 0
	for _, exec := range c.ExecIDs {
		e, err := d.engine.ContainerExecInspect(ctx, exec)
		switch {
		case errdefs.IsNotFound(err): // it has just ended
		case err != nil:
			return 0, d.wrap(err, "sessions of %s", id)
		case e.Running:
			n++
		}
	}
	return n, nil
}
