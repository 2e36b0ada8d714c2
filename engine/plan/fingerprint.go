package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/bot-bottle/bb/engine/spec"
)

// identify records what a change is from (the resources by the engine's own
// ids, what runs, what the gate enforces) and to: the whole spec, literal
// values of the environment as keyed digests, and what the driver makes of it.
func (c *Change) identify(hash func(*spec.Spec) (string, string), observed []Instance, w World) {
	if c.Spec != nil {
		s := *c.Spec
		fixed, js := hash(&s)
		s.Fixed = spec.Fixed{}
		c.want = digest(fixed, js, s, w.Images[s.ID.Name()].Ref, w.gateImage(c.Spec), w.Confinement)
	}
	for _, o := range observed {
		leftovers := slices.Sorted(slices.Values(o.Leftovers))
		c.seen = digest(c.seen, o.Backend, timeless(o.Agent), timeless(o.Sidecar), leftovers, o.State)
	}
}

// timeless leaves out the engine's words, which count minutes.
func timeless(p *Part) *Part {
	if p == nil {
		return nil
	}
	q := *p
	q.Status = ""
	return &q
}

// Fingerprint identifies everything that the plan decides and what it decided
// it from. Two plans with one fingerprint do the same to the same resources:
// a plan that somebody agreed to is executed only while it holds.
func (p *Plan) Fingerprint() string {
	parts := []any{p.String()}
	for _, c := range p.Changes {
		parts = append(parts, c.ID, c.Backend, c.Action, c.Reasons, c.Diff, c.Kept, c.Fresh, c.seen, c.want)
	}
	return digest(parts...)
}

func digest(parts ...any) string {
	sum := sha256.New()
	for _, p := range parts {
		b, err := json.Marshal(p)
		if err != nil {
			panic("plan: " + err.Error()) // only plain data reaches this
		}
		fmt.Fprintf(sum, "%d:%s", len(b), b)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
