package fake

import (
	"fmt"
	"maps"
	"path/filepath"

	"github.com/bot-bottle/bb/engine/spec"
)

// change runs one operation on the world, unless a fault is set for it.
func (d *Driver) change(op string, id spec.ID, f func(*File) error) error {
	return d.update(func(w *File) error {
		if err := w.fault(op, id.String()); err != nil {
			return err
		}
		return f(w)
	})
}

func (d *Driver) labels(s *spec.Spec, role string) map[string]string {
	l := spec.IdentityLabels(d.o.Owner, d.o.Version, s.ID, role)
	l[spec.LabelSource] = filepath.Base(s.Source.AgentFile) + " " + filepath.Base(s.Source.BottleFile)
	return l
}

// claim returns the container of that name: the one there if it is the same,
// a new one if there is none, or ours is of other labels or was altered.
func (w *File) claim(name string, labels map[string]string) (*Container, error) {
	if c, ok := w.Containers[name]; ok {
		if _, _, ours := spec.ParseIdentity(labels[spec.LabelOwner], name, c.Labels); !ours {
			return nil, notOurs("container", name)
		}
		if maps.Equal(c.Labels, labels) && len(c.Altered) == 0 {
			return c, nil
		}
	}
	w.Next++
	c := &Container{Ref: fmt.Sprintf("c%d", w.Next), Labels: labels}
	w.Containers[name] = c
	return c, nil
}

func (w *File) claimVolume(name string, labels map[string]string) error {
	if v, ok := w.Volumes[name]; ok {
		if _, _, ours := spec.ParseIdentity(labels[spec.LabelOwner], name, v.Labels); !ours {
			return notOurs("volume", name)
		}
		return nil
	}
	w.Volumes[name] = &Volume{Labels: labels}
	return nil
}

func (d *Driver) drop(w *File, name string) error {
	c, ok := w.Containers[name]
	if !ok {
		return nil
	}
	if _, _, ours := spec.ParseIdentity(d.o.Owner, name, c.Labels); !ours {
		return notOurs("container", name)
	}
	delete(w.Containers, name)
	return nil
}

func (d *Driver) ours(w *File, id spec.ID, role string) (*Container, error) {
	name := id.Name()
	if role == spec.RoleSidecar {
		name = id.Sidecar()
	}
	c, ok := w.Containers[name]
	if !ok {
		return nil, fmt.Errorf("%s of %s does not exist (run bb apply)", role, id)
	}
	if _, _, ours := spec.ParseIdentity(d.o.Owner, name, c.Labels); !ours {
		return nil, notOurs("container", name)
	}
	return c, nil
}

func notOurs(kind, name string) error {
	return fmt.Errorf("%s %s is not bb's (rename or remove it yourself)", kind, name)
}
