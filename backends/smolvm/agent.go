package smolvm

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"math"
	"strings"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/egress/door"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

const (
	agentUser   = spec.User
	agentBinDir = "/bb/bin"
)

// CreateAgent creates the machine without starting it.
func (d *Driver) CreateAgent(ctx context.Context, s *spec.Spec) error {
	b, err := d.binary()
	if err != nil {
		return err
	}
	if !d.prepared() {
		return diag.Errorf("bb is not where machines can be lent it").WithHint("'bb apply' puts it there first")
	}
	img, err := d.resolve(ctx, s)
	if err != nil {
		return err
	}
	if !img.present {
		return diag.Errorf("the image of %s is not exported", s.ID).WithHint("'bb apply' does it first")
	}
	create := d.machine(s, b, img)
	if create.Volumes, err = d.volumes(s, b); err != nil {
		return err
	}
	return d.withMachine(ctx, s.ID, func(_ *cli.Client, h *cli.Held) error {
		if done, err := d.keepAgent(ctx, s, h, create.Labels); err != nil || done {
			return err
		}
		err := h.Create(ctx, create)
		if cli.IsKind(err, cli.Exists) {
			return foreign("machine", create.Name)
		}
		return err
	})
}

// machine is what smolvm is told to create.
func (d *Driver) machine(s *spec.Spec, b binary, img image) cli.Spec {
	labels := spec.IdentityLabels(d.opts.Owner, d.opts.Version, s.ID, spec.RoleAgent)
	labels[spec.LabelImage] = img.label
	labels[spec.LabelSpec] = s.Hash(d.opts.Key)
	labels[spec.LabelSpecJSON] = s.FixedJSON(d.opts.Key)
	labels[spec.LabelConfinement] = confinement()
	labels[spec.LabelSource] = s.Source.Label()
	labels[spec.LabelTranscript] = s.Program.Transcript
	labels[labelMachine], labels[labelBinary], labels[labelArchive] = rand.Text(), b.digest, img.key()
	if img.use.Ref != "" {
		labels[labelPull] = "1"
	}
	r := limits(s.Fixed.Resources)
	return cli.Spec{
		Name: s.ID.Name(), Labels: labels, Image: img.use,
		Pull: img.use.Ref != "",
		CPUs: r.cpus, Memory: r.memory, Overlay: r.overlay,
		Sockets: []cli.Mount{{Host: d.opts.Sidecars.Door(s.ID), Guest: door.DefaultSocket}},
		Command: []string{spec.BinaryPath, "door", "boot", "--host", s.ID.Agent},
		Workdir: "/",
	}
}

// volumes are what of this machine the bottle has: bb, and its workspace where
// its manifest asks for that and the plan says so.
func (d *Driver) volumes(s *spec.Spec, b binary) ([]cli.Mount, error) {
	all := []cli.Mount{{Host: d.binDir(b.digest), Guest: agentBinDir, ReadOnly: true}}
	w := s.Fixed.Workspace
	if w.Mode != spec.WorkspaceMount {
		return all, nil
	}
	root, err := guest.OpenWorkspace(w)
	if err != nil {
		return nil, err
	}
	return append(all, cli.Mount{Host: w.Path, Guest: w.GuestPath}), root.Close()
}

// machineLimits are resources in smolvm's units; 0 means its default.
type machineLimits struct {
	cpus    int
	memory  int64 // MiB
	overlay int   // GiB: what the agent writes
}

const maxCPUs = 16 // more have no effect

func limits(r spec.Resources) machineLimits {
	up := func(n, unit int64) int64 { return (n + unit - 1) / unit }
	return machineLimits{
		cpus:    min(int(math.Ceil(r.CPUs)), maxCPUs),
		memory:  up(r.Memory, 1<<20),
		overlay: int(up(r.Disk, 1<<30)),
	}
}

// keepAgent reports whether the machine exists as it should be. One that never
// ran and differs is in the way; one that ran is somebody's work.
func (d *Driver) keepAgent(ctx context.Context, s *spec.Spec, h *cli.Held, labels map[string]string) (bool, error) {
	old, err := d.find(ctx, s.ID)
	if err != nil || old == nil {
		return false, err
	}
	why := "exists with another specification"
	if old.Labels[spec.LabelSpec] == labels[spec.LabelSpec] && old.Labels[spec.LabelImage] == labels[spec.LabelImage] {
		altered := alterations(*old)
		if len(altered) == 0 {
			return true, nil
		}
		why = "was altered: " + strings.Join(altered, ", ")
	}
	if old.State != cli.Created {
		return false, diag.Errorf("bottle %s %s", s.ID.Name(), why).WithHint("'bb apply' replaces it")
	}
	return false, h.Delete(ctx)
}

// alterations lists how a machine differs from what its own labels say bb made.
func alterations(m cli.Machine) []string {
	var facts []string
	// Before its first start, it may be there to pull the image.
	if m.Network != nil && *m.Network && (m.State != cli.Created || m.Labels[labelPull] == "") {
		facts = append(facts, "it has a network")
	}
	if m.Ports != nil && *m.Ports > 0 {
		facts = append(facts, "ports of it are open on this machine")
	}
	var f spec.Fixed
	if json.Unmarshal([]byte(m.Labels[spec.LabelSpecJSON]), &f) != nil {
		return append(facts, "its labels are not bb's")
	}
	lent := 1
	if f.Workspace.Mode == spec.WorkspaceMount {
		lent++
	}
	if m.Mounts != nil && *m.Mounts != lent {
		facts = append(facts, "other directories of this machine are lent to it")
	}
	want := limits(f.Resources)
	if want.cpus > 0 && m.CPUs > 0 && m.CPUs != want.cpus {
		facts = append(facts, "it has another number of processors")
	}
	if want.memory > 0 && m.Memory > 0 && m.Memory != want.memory {
		facts = append(facts, "it has another amount of memory")
	}
	return facts
}
