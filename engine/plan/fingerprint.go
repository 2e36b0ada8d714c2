package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/bot-bottle/bb/engine/spec"
)

// identify records what a change is from (the resources by the engine's own
// ids, what runs, what the gate enforces) and to (both halves of the spec).
func (c *Change) identify(hash func(*spec.Spec) (string, string), observed []Instance) {
	if c.Spec != nil {
		fixed, _ := hash(c.Spec)
		c.want = digest(fixed, c.Spec.LiveHashes(), c.Spec.Image, c.Spec.Gate)
	}
	for _, o := range observed {
		c.seen = digest(c.seen, o.Backend, timeless(o.Agent), timeless(o.Sidecar), o.Leftovers, o.State)
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
