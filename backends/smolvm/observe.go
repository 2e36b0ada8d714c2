package smolvm

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/parallel"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Observe takes one snapshot: one list of machines, the host's sidecars, and
// the images of the desired instances.
func (d *Driver) Observe(ctx context.Context, q plan.Query) (plan.World, error) {
	w := plan.World{
		Backend: d.Name(), Images: map[string]plan.ImageState{}, Confinement: confinement(),
		SidecarImage: d.opts.Sidecars.Image(), PipelockImage: d.opts.Sidecars.Image(),
	}
	if d.prepared() {
		w.SharedNetwork = "ours" // nothing is left for Prepare
	}
	var machines []cli.Machine
	var sidecars []Sidecar
	work := []func() error{
		func() error {
			c, err := d.client(ctx)
			if err == nil {
				machines, err = c.List(ctx)
			}
			return err
		},
		func() (err error) {
			sidecars, err = d.opts.Sidecars.List(ctx)
			return err
		},
	}
	// Instances that share an image: it is looked at once.
	groups := map[spec.Image][]*spec.Spec{}
	for _, s := range q.Specs {
		groups[s.Image] = append(groups[s.Image], s)
	}
	kinds := slices.Collect(maps.Keys(groups))
	images := make([]image, len(kinds))
	for i, kind := range kinds {
		work = append(work, func() (err error) {
			images[i], err = d.resolve(ctx, groups[kind][0])
			// What is wrong with one leaves it unknown: EnsureImage says so.
			if wrong := (diag.Diagnostic{}); errors.As(err, &wrong) {
				return nil
			}
			return err
		})
	}
	if err := errors.Join(parallel.Run(8, work...)...); err != nil {
		return plan.World{}, err
	}
	for i, kind := range kinds {
		for _, s := range groups[kind] {
			w.Images[s.ID.Name()] = images[i].state()
		}
	}
	w.Instances, w.Foreign = d.sort(q, machines, sidecars)
	for _, i := range w.Instances {
		if want, ok := w.Images[i.ID.Name()]; ok && i.Agent != nil && sameAsKnown(i.Agent.Image, want.Ref) {
			want.Ref = i.Agent.Image
			w.Images[i.ID.Name()] = want
		}
	}
	return w, nil
}

// sort tells ours from foreign.
func (d *Driver) sort(q plan.Query, machines []cli.Machine, sidecars []Sidecar) ([]plan.Instance, []plan.Foreign) {
	found := map[spec.ID]*plan.Instance{}
	instance := func(id spec.ID) *plan.Instance {
		if found[id] == nil {
			found[id] = &plan.Instance{ID: id, Backend: d.Name()}
		}
		return found[id]
	}
	var foreign []plan.Foreign
	for _, m := range machines {
		id, role, ok := spec.ParseIdentity(d.opts.Owner, m.Name, m.Labels)
		switch {
		case ok && role == spec.RoleAgent:
			instance(id).Agent = d.part(m)
		case q.Claims(m.Name):
			foreign = append(foreign, plan.Foreign{Kind: "machine", Name: m.Name})
		default:
			if was, ok := spec.Renamed(d.opts.Owner, m.Name, m.Labels); ok && q.Claims(was) {
				foreign = append(foreign, plan.Foreign{Kind: "machine", Name: m.Name, Labels: was})
			}
		}
	}
	for _, x := range sidecars {
		i := instance(x.ID)
		i.Sidecar, i.State, i.Leftovers = x.Part, x.State, x.Leftovers
	}
	var instances []plan.Instance
	for _, i := range found {
		instances = append(instances, *i)
	}
	slices.SortFunc(instances, func(a, b plan.Instance) int {
		return cmp.Or(cmp.Compare(a.ID.Name(), b.ID.Name()), cmp.Compare(a.ID.Scope, b.ID.Scope))
	})
	return instances, foreign
}

func (d *Driver) part(m cli.Machine) *plan.Part {
	ready := d.ready(m)
	p := &plan.Part{
		Ref: m.Labels[labelMachine], Running: ready, Lingers: !ready && m.PID != 0, Status: d.status(m),
		Spec: m.Labels[spec.LabelSpec], SpecJSON: m.Labels[spec.LabelSpecJSON],
		Image: m.Labels[spec.LabelImage], Version: m.Labels[spec.LabelVersion],
		Source: m.Labels[spec.LabelSource], Confinement: m.Labels[spec.LabelConfinement],
		Transcript: m.Labels[spec.LabelTranscript],
		Altered:    alterations(m),
		Unused:     m.State == cli.Created,
	}
	if !m.CreatedAt.IsZero() {
		p.Created = m.CreatedAt.Unix()
	}
	return p
}
