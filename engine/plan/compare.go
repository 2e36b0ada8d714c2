package plan

import (
	"slices"
	"strconv"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// partReasons maps a live part to the reason its change gives.
var partReasons = []struct {
	part   string
	reason Reason
}{
	{spec.PartEgress, EgressChanged},
	{spec.PartGit, GitChanged},
	{spec.PartIdentity, IdentityChanged},
	{spec.PartPrompt, PromptChanged},
	{spec.PartSkills, SkillsChanged},
	{spec.PartEnv, EnvMissing},
	{spec.PartLogin, LoginChanged},
}

// compare decides about one desired instance. The strongest action wins:
// replace, then start, then update.
func (d *Desired) compare(s *spec.Spec, observed []Instance, w World) Change {
	c := Change{ID: s.ID, Backend: s.Backend, Action: None, Spec: s}
	o, elsewhere := pick(s.Backend, observed)
	c.Fresh = len(observed) == 0
	s = keepWorkspace(s, observed)
	c.Spec = s
	c.renewGate = !fits(s, o, w)
	from := slices.IndexFunc(elsewhere, func(e Instance) bool { return e.Agent != nil })
	if from >= 0 && (o == nil || o.Agent == nil) {
		d.compareMove(&c, &elsewhere[from])
		return c
	}
	if o == nil || o.Agent == nil {
		c.Action, c.Reasons = Create, []Reason{NotFound}
		return c
	}
	d.compareFixed(&c, o, w)
	replace := len(c.Reasons) > 0
	d.compareLive(&c, o, w)
	switch {
	case replace:
		c.Action, c.Note = Replace, lostWork(Replace, o)
	case !o.Agent.Running:
		c.Action, c.Reasons = Start, append([]Reason{Stopped}, c.Reasons...)
	case len(c.Reasons) > 0:
		c.Action = Update
	}
	return c
}

func pick(backend string, observed []Instance) (here *Instance, elsewhere []Instance) {
	for i := range observed {
		if observed[i].Backend == backend {
			here = &observed[i]
		} else {
			elsewhere = append(elsewhere, observed[i])
		}
	}
	return here, elsewhere
}

// compareMove says what changes for an instance that another backend runs.
func (d *Desired) compareMove(c *Change, from *Instance) {
	c.Action, c.Reasons, c.Note = Replace, []Reason{BackendChanged}, lostWork(Replace, from)
	move := FieldDiff{Kind: Changed, Path: "backend", Old: from.Backend, New: c.Backend}
	c.Diff = []FieldDiff{move}
	if hash, js := d.Hash(c.Spec); from.Agent.Spec != hash {
		more := slices.DeleteFunc(diffFixed(from.Agent.SpecJSON, js), func(f FieldDiff) bool { return f.Path == "backend" })
		if len(more) > 0 {
			c.Reasons, c.Diff = append(c.Reasons, SpecChanged), append(c.Diff, more...)
		}
	}
	if configured(from) {
		compareParts(c, from)
	}
}

func (d *Desired) compareFixed(c *Change, o *Instance, w World) {
	hash, js := d.Hash(c.Spec)
	if o.Agent.Spec != hash {
		c.Reasons = append(c.Reasons, SpecChanged)
		c.Diff = append(c.Diff, diffFixed(o.Agent.SpecJSON, js)...)
	}
	if want := w.Images[c.ID.Name()].Ref; want != "" && want != o.Agent.Image {
		c.Reasons = append(c.Reasons, ImageChanged)
		c.Diff = append(c.Diff, FieldDiff{Kind: Changed, Path: "image", Old: o.Agent.Image, New: want})
	}
	if w.Confinement != "" && w.Confinement != o.Agent.Confinement {
		c.Reasons = append(c.Reasons, Confinement)
	}
	if len(o.Agent.Altered) > 0 {
		c.Reasons = append(c.Reasons, AgentAltered)
	}
}

func (d *Desired) compareLive(c *Change, o *Instance, w World) {
	compareGate(c, o, w)
	if !configured(o) {
		return // nothing is known of its live half; all of it is pushed again
	}
	compareParts(c, o)
	want, have := c.Spec.LiveHashes(), o.State.Live
	asClaimed := want[spec.PartEgress] == have[spec.PartEgress] && want[spec.PartGit] == have[spec.PartGit]
	if asClaimed && !c.renewGate && tampered(c.Spec, o.State) {
		c.Reasons = append(c.Reasons, RulesChanged)
		c.Diff = append(c.Diff, diffRules(o.Document, c.Spec)...)
	}
	if rotated := d.rotated(c.Spec, o.State); len(rotated) > 0 {
		c.Reasons = append(c.Reasons, TokenRotated)
		c.Diff = append(c.Diff, rotated...)
	}
	if o.State.Agent == egress.AgentGone {
		c.Reasons = append(c.Reasons, SSHAgentGone)
	}
}

func compareParts(c *Change, o *Instance) {
	want := c.Spec.LiveHashes()
	for _, p := range partReasons {
		if p.part == spec.PartEnv && slices.Contains(c.Reasons, SpecChanged) {
			continue // its successor gets what it should have
		}
		if p.part == spec.PartEgress && slices.Contains(c.Reasons, PipelockChanged) && onlyPipelock(c.Spec, o) {
			continue // said already
		}
		if want[p.part] != o.State.Live[p.part] && !slices.Contains(c.Spec.Live.Unknown, p.part) {
			c.Reasons = append(c.Reasons, p.reason)
			if p.part != spec.PartEnv { // it has no value to differ in
				c.Diff = append(c.Diff, diffPart(p.part, c.Spec, o.Document)...)
			}
		}
	}
}

// onlyPipelock reports whether what leaves differs in nothing but pipelock.
func onlyPipelock(s *spec.Spec, o *Instance) bool {
	as := *s
	as.Gate.Pipelock = o.Sidecar.Pipelock
	return as.LiveHashes()[spec.PartEgress] == o.State.Live[spec.PartEgress]
}

// tampered reports whether a sidecar enforces something else than it claims:
// somebody gave it a document of their own. One that does not say is believed.
func tampered(s *spec.Spec, state *egress.StateLine) bool {
	return state.Rules != "" && state.Rules != s.Rules().Digest()
}

// fits reports whether there is a sidecar, running or not, that is as it should
// be but for its configuration.
func fits(s *spec.Spec, o *Instance, w World) bool {
	return o != nil && o.Sidecar != nil && len(o.Sidecar.Altered) == 0 && o.Sidecar.Network == s.Gate.Network &&
		o.Sidecar.Pipelock == s.Gate.Pipelock && (w.gateImage(s) == "" || o.Sidecar.Image == w.gateImage(s))
}

// compareGate says why the sidecar itself needs work: each reason for itself,
// since one that lost its configuration may be outdated too. That of a bottle
// that is stopped lost nothing.
func compareGate(c *Change, o *Instance, w World) {
	if !configured(o) && !o.Halted() {
		c.Reasons = append(c.Reasons, SidecarLost)
	}
	if o.Sidecar == nil {
		return
	}
	pipelock := c.Spec.Gate.Pipelock
	if want := w.gateImage(c.Spec); o.Sidecar.Pipelock == pipelock && want != "" && o.Sidecar.Image != want {
		c.Reasons = append(c.Reasons, SidecarOutdated)
	}
	if len(o.Sidecar.Altered) > 0 {
		c.Reasons = append(c.Reasons, SidecarAltered)
	}
	if o.Sidecar.Network != c.Spec.Gate.Network {
		c.Reasons = append(c.Reasons, NetworkChanged)
		c.Diff = append(c.Diff, FieldDiff{Kind: Changed, Path: "egress.network", Old: o.Sidecar.Network, New: c.Spec.Gate.Network})
	}
	if o.Sidecar.Pipelock != pipelock {
		c.Reasons = append(c.Reasons, PipelockChanged)
		c.Diff = append(c.Diff, FieldDiff{
			Kind: Changed, Path: "egress.pipelock", Old: strconv.FormatBool(o.Sidecar.Pipelock), New: strconv.FormatBool(pipelock),
		})
	}
}

// configured reports whether the sidecar runs and enforces a policy.
func configured(o *Instance) bool {
	return o.Sidecar != nil && o.Sidecar.Running && o.State != nil && o.State.State == egress.StateConfigured
}

// rotated lists the tokens whose value on the host is known and is not the
// one that the sidecar holds.
func (d *Desired) rotated(s *spec.Spec, state *egress.StateLine) []FieldDiff {
	var out []FieldDiff
	digests := d.Digests[s.ID.Name()]
	slots := make([]string, 0, len(s.Live.Tokens))
	for slot := range s.Live.Tokens {
		slots = append(slots, slot)
	}
	slices.Sort(slots)
	for _, slot := range slots {
		held, has := state.Tokens[slot]
		if want := digests[slot]; has && want != "" && held != want {
			ref := egress.ParseRef(s.Live.Tokens[slot])
			path := "token " + ref.String()
			if ref.Key != "" {
				path = ref.String() // it says "key" itself
			}
			out = append(out, FieldDiff{Kind: Changed, Path: path, Opaque: true})
		}
	}
	return out
}
