package docker

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/bot-bottle/bb/engine/parallel"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// observers bounds the calls of one Observe that are under way at once.
const observers = 16

// Observe takes one snapshot: one list of each kind of resource, the images
// of the desired instances, then the last words of running sidecars.
func (d *Driver) Observe(ctx context.Context, q plan.Query) (plan.World, error) {
	w := plan.World{Backend: d.Name(), Images: map[string]plan.ImageState{}, Confinement: d.confinement()}
	var containers []container.Summary
	var networks []network.Summary
	var volumes volume.ListResponse
	work := []func() error{
		func() (err error) {
			containers, err = d.engine.ContainerList(ctx, container.ListOptions{All: true})
			return d.wrap(err, "list containers")
		},
		func() (err error) {
			volumes, err = d.engine.VolumeList(ctx, volume.ListOptions{})
			return d.wrap(err, "list volumes")
		},
		func() (err error) {
			networks, err = d.engine.NetworkList(ctx, network.ListOptions{})
			return d.wrap(err, "list networks")
		},
	}
	var sidecar resolved
	work = append(work, func() (err error) {
		sidecar, err = d.resolveSidecar(ctx)
		return err
	})
	var piped resolved
	if slices.ContainsFunc(q.Specs, func(s *spec.Spec) bool { return s.Gate.Pipelock }) {
		work = append(work, func() (err error) {
			piped, err = d.pipelockImage(ctx)
			return err
		})
	}
	groups := byImage(q.Specs)
	images := make([]resolved, len(groups))
	for i, g := range groups {
		work = append(work, func() (err error) {
			images[i], err = d.lookAt(ctx, g[0])
			return err
		})
	}
	if err := errors.Join(parallel.Run(d.at.width(len(work)), work...)...); err != nil {
		return plan.World{}, err
	}
	w.SidecarImage, w.PipelockImage = sidecar.label, piped.label
	for i, g := range groups {
		for _, s := range g {
			w.Images[s.ID.Name()] = images[i].state()
		}
	}
	w.SharedNetwork = d.networkState(networks)
	c := collector{
		owner: d.opts.Owner, query: q, found: map[spec.ID]*plan.Instance{},
		scene: newScene(networks, volumes, append(images, sidecar, piped)...),
	}
	if err := d.lookAtBuilds(ctx, c.scene, containers...); err != nil {
		return plan.World{}, err
	}
	for _, x := range containers {
		c.container(x)
	}
	for _, v := range volumes.Volumes {
		c.volume(v)
	}
	w.Instances, w.Foreign = c.world(d.Name())
	return w, d.askSidecars(ctx, w.Instances)
}

// byImage groups instances that share an image: it is looked at once.
func byImage(specs []*spec.Spec) [][]*spec.Spec {
	at := map[spec.Image]int{}
	var groups [][]*spec.Spec
	for _, s := range specs {
		i, ok := at[s.Image]
		if !ok {
			i = len(groups)
			at[s.Image] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], s)
	}
	return groups
}

// askSidecars reads the last state line of those that run.
func (d *Driver) askSidecars(ctx context.Context, instances []plan.Instance) error {
	var work []func() error
	for i := range instances {
		o := &instances[i]
		if o.Sidecar == nil || !o.Sidecar.Running {
			continue
		}
		work = append(work, func() (err error) {
			o.State, err = d.lastState(ctx, o.Sidecar.Ref, o.ID.Sidecar())
			return err
		})
	}
	return errors.Join(parallel.Run(d.at.width(len(work)), work...)...)
}

// collector sorts what the engine lists into ours and foreign.
type collector struct {
	owner   string
	query   plan.Query
	found   map[spec.ID]*plan.Instance
	foreign []plan.Foreign
	scene   scene
}

func (c *collector) instance(id spec.ID) *plan.Instance {
	if c.found[id] == nil {
		c.found[id] = &plan.Instance{ID: id}
	}
	return c.found[id]
}

func (c *collector) container(x container.Summary) {
	for _, n := range x.Names {
		name := trimName(n)
		id, role, ok := spec.ParseIdentity(c.owner, name, x.Labels)
		switch {
		case ok && role == spec.RoleAgent:
			c.instance(id).Agent = part(x, c.scene.agent(id, x))
		case ok && role == spec.RoleSidecar:
			c.instance(id).Sidecar = part(x, c.scene.sidecar(id, x))
		case c.query.Claims(name):
			c.foreign = append(c.foreign, plan.Foreign{Kind: "container", Name: name})
		default:
			if was, ok := spec.Renamed(c.owner, name, x.Labels); ok && c.query.Claims(was) {
				c.foreign = append(c.foreign, plan.Foreign{Kind: "container", Name: name, Labels: was})
			}
		}
	}
}

func (c *collector) volume(v *volume.Volume) {
	id, role, ok := spec.ParseIdentity(c.owner, v.Name, v.Labels)
	switch {
	case ok && (role == spec.RoleDoor || role == spec.RoleCA):
		i := c.instance(id)
		i.Leftovers = append(i.Leftovers, v.Name)
	case c.query.Claims(v.Name):
		c.foreign = append(c.foreign, plan.Foreign{Kind: "volume", Name: v.Name})
	}
}

func (c *collector) world(backend string) ([]plan.Instance, []plan.Foreign) {
	var instances []plan.Instance
	for _, i := range c.found {
		i.Backend = backend
		slices.Sort(i.Leftovers)
		instances = append(instances, *i)
	}
	slices.SortFunc(instances, func(a, b plan.Instance) int {
		return cmp.Or(cmp.Compare(a.ID.Name(), b.ID.Name()), cmp.Compare(a.ID.Scope, b.ID.Scope))
	})
	slices.SortFunc(c.foreign, func(a, b plan.Foreign) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return instances, c.foreign
}

func part(x container.Summary, altered []string) *plan.Part {
	return &plan.Part{
		Ref: x.ID, Running: x.State == container.StateRunning, Paused: x.State == container.StatePaused, Status: x.Status, Created: x.Created,
		Spec: x.Labels[spec.LabelSpec], SpecJSON: x.Labels[spec.LabelSpecJSON],
		Image: x.Labels[spec.LabelImage], Version: x.Labels[spec.LabelVersion],
		Source: x.Labels[spec.LabelSource], Network: x.Labels[spec.LabelNetwork], Pipelock: x.Labels[spec.LabelPipelock] != "",
		Confinement: x.Labels[spec.LabelConfinement], Transcript: x.Labels[spec.LabelTranscript], Altered: altered,
	}
}
