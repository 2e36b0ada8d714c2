package plan

import (
	"cmp"
	"slices"

	"github.com/bot-bottle/bb/engine/spec"
)

// scheduler turns changes into nodes. Nodes are appended in topological
// order; the order of work and its reasons are here, not in the executor.
type scheduler struct {
	p        *Plan
	taken    takenNames
	prepared map[string]int   // backend -> prepare node
	images   map[imageKey]int // -> ensure_image node
}

type imageKey struct {
	backend string
	image   spec.Image
}

func schedule(p *Plan, observed map[spec.ID][]Instance, taken takenNames) {
	s := &scheduler{p: p, taken: taken, prepared: map[string]int{}, images: map[imageKey]int{}}
	for i := range p.Changes {
		c := &p.Changes[i]
		o, elsewhere := pick(c.Backend, observed[c.ID])
		switch c.Action {
		case Create, Replace, Start:
			s.bringUp(c, o, elsewhere)
		case Update:
			s.update(c, o)
		case Remove:
			if !c.Kept {
				s.remove(c.ID, c.Backend, nil, string(c.Reasons[0]))
			}
		case Stop:
			s.node(Node{Op: OpStop, Backend: c.Backend, Instance: c.ID, Cause: string(c.Reasons[0])})
		}
	}
}

// node appends one operation and returns its number.
func (s *scheduler) node(n Node, after ...int) int {
	n.ID = len(s.p.Nodes) + 1
	for _, a := range after {
		if a != 0 && !slices.Contains(n.DependsOn, a) {
			n.DependsOn = append(n.DependsOn, a)
		}
	}
	s.p.Nodes = append(s.p.Nodes, n)
	return n.ID
}

func (s *scheduler) prepare(backend string) int {
	if id, ok := s.prepared[backend]; ok {
		return id
	}
	id := s.node(Node{Op: OpPrepare, Backend: backend, Cause: "shared by all bottles"})
	s.prepared[backend] = id
	return id
}

func (s *scheduler) image(sp *spec.Spec) int {
	k := imageKey{sp.Backend, sp.Image}
	if id, ok := s.images[k]; ok {
		return id
	}
	// The instance names the image for people; the node serves all that share it.
	id := s.node(Node{Op: OpEnsureImage, Backend: sp.Backend, Instance: sp.ID, Spec: sp, Cause: "image of " + sp.Image.Name})
	s.images[k] = id
	return id
}

// bringUp creates, replaces or starts. The old agent is removed only when its
// successor's image and gate are there: a build that fails costs nobody
// anything. The gate gets the new policy only when the old agent is gone,
// which must not be handed its successor's powers; and the new one starts only
// behind a gate that enforces its policy.
func (s *scheduler) bringUp(c *Change, o *Instance, elsewhere []Instance) {
	cause := string(c.Reasons[0])
	n := Node{Backend: c.Backend, Instance: c.ID, Spec: c.Spec, Cause: cause}
	image := 0
	if c.Action != Start {
		image = s.image(c.Spec)
	}
	ready := s.gate(c, o)
	if slices.Contains(c.Reasons, BackendChanged) {
		for _, e := range elsewhere {
			ready = cmp.Or(s.remove(e.ID, e.Backend, []int{ready, image}, cause), ready)
		}
	}
	if c.Action == Replace && o != nil && o.Agent != nil {
		ready = s.node(withOp(n, OpRemoveAgent), ready, image)
	}
	pending := provisioned(c, o)
	configure := withOp(n, OpConfigure)
	configure.Parts = allParts
	if pending != nil {
		configure.Parts = []string{spec.PartEgress} // the rest is claimed when it is done
	}
	ready = s.node(configure, ready)
	if c.Action != Start {
		ready = s.node(withOp(n, OpCreateAgent), ready, image)
	}
	ready = s.node(withOp(n, OpStartAgent), ready)
	if pending != nil {
		s.provision(n, pending, ready)
	}
}

// gate makes sure that a sidecar of the right kind runs, and returns the node
// to wait for, or 0 when it already does.
func (s *scheduler) gate(c *Change, o *Instance) int {
	n := Node{Backend: c.Backend, Instance: c.ID, Spec: c.Spec, Cause: string(c.Reasons[0])}
	prepared := s.prepare(c.Backend)
	switch {
	case c.renewGate:
		return s.node(withOp(n, OpCreateSidecar), prepared)
	case !o.Sidecar.Running:
		return s.node(withOp(n, OpStartSidecar), prepared)
	}
	return prepared
}

// update changes the live half in place: the gate first, then what has to be
// done inside the agent, then the claim that all of it is done.
func (s *scheduler) update(c *Change, o *Instance) {
	n := Node{Backend: c.Backend, Instance: c.ID, Spec: c.Spec, Cause: string(c.Reasons[0])}
	gate := 0
	if c.renewGate || !o.Sidecar.Running {
		gate = s.gate(c, o)
	}
	pending := changedInside(c.Spec, o)
	first := withOp(n, OpConfigure)
	first.Parts = allParts
	if len(pending) > 0 {
		first.Parts = without(allParts, pending)
	}
	configured := s.node(first, gate)
	if len(pending) > 0 {
		s.provision(n, pending, configured)
	}
}

func (s *scheduler) provision(n Node, parts []string, after int) {
	p := withOp(n, OpProvision)
	p.Parts = parts
	done := s.node(p, after)
	claim := withOp(n, OpConfigure)
	claim.Parts = allParts
	s.node(claim, done)
}

func (s *scheduler) remove(id spec.ID, backend string, after []int, cause string) int {
	n := Node{Backend: backend, Instance: id, Cause: cause}
	last := 0
	for _, op := range s.taken.removals(id, backend) {
		last = s.node(withOp(n, op), after...)
		after = []int{last}
	}
	return last
}

var allParts = []string{spec.PartEgress, spec.PartGit, spec.PartIdentity, spec.PartPrompt, spec.PartSkills, spec.PartEnv, spec.PartLogin}

// provisioned lists the parts that need a command in an agent that is about to
// start. A new one is given its files before it does. One that starts again
// has what it was given before: what differs is done when it runs.
func provisioned(c *Change, o *Instance) []string {
	want := c.Spec.LiveHashes()
	var have map[string]string
	if c.Action == Start && configured(o) {
		have = o.State.Live
	}
	var parts []string
	for _, p := range allParts[1:] {
		inside := p == spec.PartGit || p == spec.PartIdentity || p == spec.PartEnv || p == spec.PartLogin && len(c.Spec.Program.Verify) > 0
		again := c.Action == Start && want[p] != have[p] && !slices.Contains(c.Spec.Live.Unknown, p)
		if inside && want[p] != "" || again {
			parts = append(parts, p)
		}
	}
	return parts
}

// changedInside lists the parts inside a running agent that differ from what
// its sidecar claims as done; all declared ones when it claims nothing. But an
// agent that runs is taken to have a secret environment that only a person can
// give again, unless the sidecar says not yet.
func changedInside(s *spec.Spec, o *Instance) []string {
	want := s.LiveHashes()
	var have map[string]string
	if configured(o) {
		have = o.State.Live
	}
	var parts []string
	for _, p := range allParts[1:] {
		if want[p] != have[p] && !slices.Contains(s.Live.Unknown, p) && (p != spec.PartEnv || configured(o) || !s.Asks()) {
			parts = append(parts, p)
		}
	}
	return parts
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(p string) bool { return slices.Contains(some, p) })
}

func withOp(n Node, op Op) Node {
	n.Op = op
	return n
}
