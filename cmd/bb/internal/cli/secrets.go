package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// unresolved notes what an apply of this plan would stop at.
func (p *planning) unresolved() diag.List {
	var notes diag.List
	for _, c := range p.plan.Changes {
		if c.Spec == nil || c.Action == plan.Blocked {
			continue
		}
		_, err := p.secrets(c.Spec)
		var list diag.List
		if errors.As(err, &list) {
			for _, d := range list {
				d.Severity, d.Message = diag.Warning, d.Message+": apply will stop here"
				if !slices.Contains(notes, d) { // replicas say the same
					notes = append(notes, d)
				}
			}
		}
	}
	for _, d := range p.lapsed() {
		d.Severity = diag.Warning
		notes = append(notes, d)
	}
	notes.Sort()
	return notes
}

// allSecrets resolves the values of every instance that will be configured,
// asking for what has to be asked once.
func (p *planning) allSecrets() (map[spec.ID]spec.Secrets, error) {
	out := map[spec.ID]spec.Secrets{}
	var problems diag.List
	for _, c := range p.plan.Changes {
		if c.Spec == nil || c.Action == plan.Blocked {
			continue
		}
		s, err := p.secrets(c.Spec)
		var list diag.List
		if errors.As(err, &list) {
			problems = append(problems, list...)
		}
		if c.Action == plan.Update {
			s.Env = nil // the agent goes on with what it has
		} else if len(problems) == 0 {
			if err := p.askFor(c.Spec, s.Env); err != nil {
				return nil, err
			}
		}
		out[c.ID] = s
	}
	problems.Sort()
	return out, problems.Err()
}

// secrets resolves every value that a spec refers to and that needs no
// person. Errors name variables and what wants them, never a value.
func (p *planning) secrets(s *spec.Spec) (spec.Secrets, error) {
	var refs []egress.SlotRef
	for slot, ref := range s.Live.Tokens {
		refs = append(refs, egress.SlotRef{Slot: slot, Ref: ref})
	}
	slices.SortFunc(refs, func(a, b egress.SlotRef) int { return strings.Compare(a.Slot, b.Slot) })
	problems := slices.Clone(p.desire.Stops[s.ID.Name()])
	tokens, err := egress.ResolveTokens(refs, p.lookup(s.ID))
	for _, e := range unjoin(err) {
		if len(problems) == 0 { // else it is the login that is missing
			problems = append(problems, diag.Errorf("%s: %v", s.ID.Agent, e).WithHint("export it, then run bb again"))
		}
	}
	out := spec.Secrets{Tokens: tokens, Env: map[string]string{}, Digests: p.digests(s)}
	for _, e := range s.Fixed.Env {
		if e.Kind != spec.EnvHost {
			continue
		}
		v, ok := hostValue(e.Value)
		if !ok {
			problems = append(problems, diag.Errorf("%s: env.%s: host variable %s is not set", s.ID.Agent, e.Name, e.Value).
				WithHint("export it, then run bb again"))
		}
		out.Env[e.Name] = v
	}
	return out, problems.Err()
}

// lookup finds the value of a reference: the provider's own, else the host's.
func (p *planning) lookup(id spec.ID) func(ref string) (string, bool) {
	return func(ref string) (string, bool) {
		if v, ok := p.desire.Values[id.Name()][ref]; ok {
			return v, true
		}
		return hostValue(ref)
	}
}

// askFor asks for the values of a spec that a person has to give, once for all
// replicas, without echo. They go to bottles and nowhere else.
func (p *planning) askFor(s *spec.Spec, env map[string]string) error {
	for _, e := range s.Fixed.Env {
		if e.Kind != spec.EnvAsk {
			continue
		}
		key := s.ID.Scope + "/" + s.ID.Agent + "/" + e.Name
		if _, ok := p.asked[key]; !ok {
			v, err := p.app.askSecret(fmt.Sprintf("%s: %s", s.ID.Agent, cmp.Or(e.Value, e.Name)))
			if err != nil {
				return diag.Errorf("%s: env.%s: %v", s.ID, e.Name, err).
					WithHint("run bb in a terminal, or make it ${HOST_VARIABLE}")
			}
			if p.asked == nil {
				p.asked = map[string]string{}
			}
			p.asked[key] = v
		}
		env[e.Name] = p.asked[key]
	}
	return nil
}

// askSecret reads one line from the terminal without showing it.
func (a *app) askSecret(question string) (string, error) {
	f, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", errors.New("there is no terminal to ask on")
	}
	fmt.Fprintf(a.stderr, "%s: ", view.Escape(question))
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(a.stderr)
	if err != nil {
		return "", errors.New("no answer")
	}
	return string(b), nil
}

// unjoin lists what errors.Join joined.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}
