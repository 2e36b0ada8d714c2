package fake

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Observe reads the file.
func (d *Driver) Observe(_ context.Context, q plan.Query) (plan.World, error) {
	out := plan.World{Backend: d.Name(), Images: map[string]plan.ImageState{}, SidecarImage: sidecarImage, PipelockImage: sidecarImage}
	err := d.view(func(w *File) error {
		out.SharedNetwork = w.SharedNetwork
		for _, s := range q.Specs {
			out.Images[s.ID.Name()] = plan.ImageState{Ref: imageRef(s), Present: slices.Contains(w.Images, imageRef(s))}
		}
		v := viewer{driver: d, query: q, found: map[spec.ID]*plan.Instance{}}
		for _, name := range slices.Sorted(maps.Keys(w.Containers)) {
			v.container(name, w.Containers[name])
		}
		for _, name := range slices.Sorted(maps.Keys(w.Volumes)) {
			v.volume(name, w.Volumes[name])
		}
		out.Foreign = v.foreign
		for _, i := range v.found {
			out.Instances = append(out.Instances, *i)
		}
		return nil
	})
	slices.SortFunc(out.Instances, func(a, b plan.Instance) int { return strings.Compare(a.ID.Name(), b.ID.Name()) })
	return out, err
}

// viewer sorts what the file holds into ours and foreign.
type viewer struct {
	driver  *Driver
	query   plan.Query
	found   map[spec.ID]*plan.Instance
	foreign []plan.Foreign
}

func (v *viewer) instance(id spec.ID) *plan.Instance {
	if v.found[id] == nil {
		v.found[id] = &plan.Instance{ID: id, Backend: v.driver.Name()}
	}
	return v.found[id]
}

func (v *viewer) container(name string, c *Container) {
	id, role, ours := spec.ParseIdentity(v.driver.o.Owner, name, c.Labels)
	was, renamed := spec.Renamed(v.driver.o.Owner, name, c.Labels)
	switch {
	case renamed && v.query.Claims(was):
		v.foreign = append(v.foreign, plan.Foreign{Kind: "container", Name: name, Labels: was})
	case !ours:
		v.other("container", name)
	case role == spec.RoleSidecar:
		i := v.instance(id)
		i.Sidecar = part(c)
		if c.Running {
			i.State = c.State
		}
	default:
		v.instance(id).Agent = part(c)
	}
}

func (v *viewer) volume(name string, vol *Volume) {
	if id, _, ours := spec.ParseIdentity(v.driver.o.Owner, name, vol.Labels); ours {
		i := v.instance(id)
		i.Leftovers = append(i.Leftovers, name)
		return
	}
	v.other("volume", name)
}

// other notes a foreign resource whose name is one of this scope.
func (v *viewer) other(kind, name string) {
	if v.query.Claims(name) {
		v.foreign = append(v.foreign, plan.Foreign{Kind: kind, Name: name})
	}
}

func part(c *Container) *plan.Part {
	status := "exited"
	if c.Running {
		status = "running"
	}
	return &plan.Part{
		Ref: c.Ref, Running: c.Running, Paused: c.Paused, Status: status, Created: c.Created,
		Spec: c.Labels[spec.LabelSpec], SpecJSON: c.Labels[spec.LabelSpecJSON],
		Image: c.Labels[spec.LabelImage], Version: c.Labels[spec.LabelVersion],
		Source: c.Labels[spec.LabelSource], Network: c.Labels[spec.LabelNetwork], Pipelock: c.Labels[spec.LabelPipelock] != "",
		Transcript: c.Labels[spec.LabelTranscript], Altered: c.Altered,
	}
}
