package fake

import (
	"context"
	"slices"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// Sessions counts those that a test wrote into the world.
func (d *Driver) Sessions(_ context.Context, id spec.ID) (n int, err error) {
	err = d.view(func(w *File) error {
		if c := w.Containers[id.Name()]; c != nil && c.Running {
			n = c.Sessions
		}
		return nil
	})
	return n, err
}

// Orphans lists those that a test wrote into the world.
func (d *Driver) Orphans(context.Context) (list []backends.Orphan, err error) {
	err = d.view(func(w *File) error {
		list = w.Orphans
		return nil
	})
	return list, err
}

// RemoveOrphan removes one of those.
func (d *Driver) RemoveOrphan(_ context.Context, o backends.Orphan) error {
	return d.update(func(w *File) error {
		w.Orphans = slices.DeleteFunc(w.Orphans, func(x backends.Orphan) bool { return x == o })
		return w.fault("remove_orphan", o.Name)
	})
}
