package docker

import (
	"context"

	"github.com/bot-bottle/bb/backends"
)

// Orphans lists what serves no instance any more.
func (d *Driver) Orphans(context.Context) ([]backends.Orphan, error) { return nil, nil }

// RemoveOrphan removes one.
func (d *Driver) RemoveOrphan(context.Context, backends.Orphan) error { return nil }
