package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/host"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// unresolved notes what an apply of this plan would stop at, as far as can be
// told without running anything.
func (p *planning) unresolved() diag.List {
	var notes diag.List
	for _, c := range p.plan.Changes {
		if c.Spec == nil || c.Action == plan.Blocked {
			continue
		}
		_, problems := p.secrets(c.Spec, p.values.Known)
		for _, d := range problems {
			d.Severity, d.Message = diag.Warning, d.Message+": apply will stop here"
			if !slices.Contains(notes, d) { // replicas say the same
				notes = append(notes, d)
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

// ready checks before anybody is asked that what will be resolved can be, and
// asks for the values that a person has to give. No command runs yet.
func (p *planning) ready() error {
	_, err := p.allSecrets(p.values.Known)
	return p.nameOthers(err)
}

// resolve returns the values of every instance that will be configured. Here,
// and where somebody wants tokens refreshed, the commands of references run.
func (p *planning) resolve(ctx context.Context) (map[spec.ID]spec.Secrets, error) {
	ctx, release := p.app.untilSignal(ctx)
	defer release()
	secrets, err := p.allSecrets(p.runCommands(ctx))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return secrets, err
}

// refresh runs the commands of all references, so that the plan knows whether
// their tokens changed.
func (p *planning) refresh(ctx context.Context) error {
	ctx, release := p.app.untilSignal(ctx)
	defer release()
	var problems diag.List
	for _, s := range p.specs {
		_, list := p.secrets(s, p.runCommands(ctx))
		problems = append(problems, list...)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	problems.Sort()
	return problems.Err()
}

// finder returns the value of a reference.
type finder = func(ref string) (string, error)

func (p *planning) runCommands(ctx context.Context) finder {
	return func(ref string) (string, error) { return p.values.Run(ctx, ref) }
}

func (p *planning) allSecrets(find finder) (map[spec.ID]spec.Secrets, error) {
	out := map[spec.ID]spec.Secrets{}
	var problems diag.List
	for _, c := range p.plan.Changes {
		if c.Spec == nil || c.Action == plan.Blocked {
			continue
		}
		s, list := p.secrets(c.Spec, find)
		problems = append(problems, list...)
		if c.Action == plan.Update && c.Spec.Asks() && !slices.Contains(c.Reasons, plan.EnvMissing) {
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
func (p *planning) secrets(s *spec.Spec, find finder) (spec.Secrets, diag.List) {
	var refs []egress.SlotRef
	for slot, ref := range s.Live.Tokens {
		refs = append(refs, egress.SlotRef{Slot: slot, Ref: ref})
	}
	slices.SortFunc(refs, func(a, b egress.SlotRef) int { return strings.Compare(a.Slot, b.Slot) })
	problems := slices.Clone(p.desire.Stops[s.ID.Name()])
	tokens, err := egress.ResolveTokens(refs, p.lookup(s.ID, find))
	missing := len(problems) > 0 // then it is the login that has no token
	for _, e := range unjoin(err) {
		if !missing && !errors.Is(e, host.ErrNotRun) {
			problems = append(problems, tokenProblem(s.ID.Agent, e))
		}
	}
	if at := s.Live.Parent; at != nil && tokens != nil && at.Slot != "" && !strings.Contains(tokens[at.Slot], ":") {
		problems = append(problems, diag.Errorf("%s: token %s is no login for the parent proxy",
			s.ID.Agent, strings.TrimPrefix(egress.ParseRef(s.Live.Tokens[at.Slot]).String(), "$")).
			WithHint("it is USER:PASSWORD, with the colon"))
	}
	out := spec.Secrets{Tokens: tokens, Env: map[string]string{}, Digests: map[string]string{}}
	for slot, v := range tokens { // of these values: a file may have another by now
		out.Digests[slot] = p.state.Key.Digest(s.ID.Name(), s.Live.Tokens[slot], v)
	}
	for _, e := range s.Fixed.Env {
		if e.Kind != spec.EnvHost {
			continue
		}
		v, err := host.Variable(e.Value)
		if err != nil {
			problems = append(problems, diag.Errorf("%s: env.%s: host variable %s is not set", s.ID.Agent, e.Name, e.Value).
				WithHint("export it, then run bb again"))
		}
		out.Env[e.Name] = v
	}
	if err := p.lacks[s.ID.Name()]; err != nil {
		problems = append(problems, lack(s.ID.Agent, err))
	}
	return out, problems
}

// lack is what this machine lacks for an agent.
func lack(agent string, err error) diag.Diagnostic {
	d := diag.Errorf("%s: %v", agent, err)
	var why diag.Diagnostic
	if errors.As(err, &why) {
		d = diag.Errorf("%s: %s", agent, why.Message).WithHint("%s", why.Hint)
	}
	return d
}

// tokenProblem says what to do about a token that cannot be had.
func tokenProblem(agent string, err error) diag.Diagnostic {
	hint := "a token is one line of text"
	var why diag.Diagnostic
	switch {
	case errors.As(err, &why):
		hint = why.Hint
		err = errors.New(strings.TrimSuffix(err.Error(), " ("+why.Hint+")"))
	case errors.Is(err, egress.ErrUnset):
		hint = "export it, then run bb again"
	case errors.Is(err, egress.ErrShort):
		hint = "such a value cannot be told from ordinary text, so that the sidecar could not keep it in: use a longer one"
	}
	return diag.Errorf("%s: %v", agent, err).WithHint("%s", hint)
}

// lookup finds the value of a reference: the provider's own, else the host's.
func (p *planning) lookup(id spec.ID, find finder) finder {
	return func(ref string) (string, error) {
		if v, ok := p.desire.Values[id.Name()][ref]; ok {
			return v, nil
		}
		return find(ref)
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
