package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/hostside"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

const (
	defaultBackend = "docker"
	machineBackend = "smolvm"
)

// drivers are the backends in use, by name.
type drivers map[string]backends.Driver

// backendNames lists the backends that the specs need, and those that were used
// before: bottles without a manifest may run there. Where nothing is known it is
// the one that is used when nothing says otherwise.
func (a *app) backendNames(st *state.State, specs []*spec.Spec) []string {
	var names []string
	if a.g.Backend != "" {
		names = append(names, a.g.Backend)
	}
	if st.UsedBackend(defaultBackend) {
		names = append(names, defaultBackend)
	}
	if _, err := os.Stat(smolvmDir(st)); err == nil {
		names = append(names, machineBackend)
	}
	for _, s := range specs {
		names = append(names, s.Backend)
		if built(s) {
			names = append(names, defaultBackend)
		}
	}
	if len(names) == 0 {
		names = append(names, defaultBackend)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// built reports whether an engine builds what a machine is made of.
func built(s *spec.Spec) bool { return s.Backend == machineBackend && s.Image.Ref == "" }

func (a *app) drivers(st *state.State, names []string) drivers {
	out := drivers{}
	for _, name := range names {
		d, err := a.driver(name, st)
		if err != nil {
			d = missing{err: err}
		}
		out[name] = d
	}
	return out
}

// missing is a driver that cannot be made: whoever needs it hears why from its
// check, and nobody else asks it anything.
type missing struct {
	backends.Driver
	err error
}

func (m missing) Check(context.Context) error { return m.err }

// observe asks the drivers for what there is.
func (p *planning) observe(ctx context.Context) (err error) {
	for _, s := range p.specs { // one of a session may have a backend of its own
		if p.drivers[s.Backend] == nil {
			maps.Copy(p.drivers, p.app.drivers(p.state, []string{s.Backend}))
		}
	}
	p.seen, p.unknown, err = p.drivers.observe(ctx, p.state.Owner, p.scopes, p.specs)
	return err
}

// observe asks all drivers at once. The worlds are ordered by backend. One that
// cannot be asked stops the command only where one of the specs is its, or where
// no other can be: else it is unknown why. What it has is not gone.
func (ds drivers) observe(ctx context.Context, owner string, in scopes, specs []*spec.Spec) (seen []plan.World, unknown map[string]error, err error) {
	names := slices.Sorted(maps.Keys(ds))
	worlds, errs := make([]plan.World, len(names)), make([]error, len(names))
	var work []func() error
	needed := map[string]bool{}
	for _, s := range specs {
		needed[s.Backend] = true
	}
	for i, name := range names {
		q := plan.Query{Owner: owner, Scopes: in.all()}
		for _, s := range specs {
			if s.Backend == name {
				q.Specs = append(q.Specs, s)
			}
		}
		work = append(work, func() error {
			if errs[i] = ds[name].Check(ctx); errs[i] == nil {
				worlds[i], errs[i] = ds[name].Observe(ctx, q)
			}
			return nil
		})
	}
	if err := errors.Join(atOnce(work), ctx.Err()); err != nil {
		return nil, nil, contextErr(ctx, err)
	}
	unknown = map[string]error{}
	var stops []error
	for i, name := range names {
		switch {
		case errs[i] == nil:
			seen = append(seen, worlds[i])
		case needed[name]:
			stops = append(stops, errs[i])
		default:
			unknown[name] = errs[i]
		}
	}
	if len(seen) == 0 && len(stops) == 0 {
		stops = slices.Collect(maps.Values(unknown))
	}
	return seen, unknown, errors.Join(stops...)
}

// ignorance says which backends could not be asked, and what to do about it.
func (p *planning) ignorance() diag.List {
	var list diag.List
	for _, name := range slices.Sorted(maps.Keys(p.unknown)) {
		why := flatten(p.unknown[name])[0]
		record := p.state.BackendFile(name)
		if name == machineBackend {
			record = smolvmDir(p.state)
		}
		forget := fmt.Sprintf("if no bottle will ever run there again, remove %s", p.app.style(p.app.stderr).Path(record))
		hint := strings.TrimPrefix(why.Hint+"; "+forget, "; ")
		list = append(list, warning("%s cannot be asked: what it has is not known, and stays as it is: %s", name, why.Message).WithHint("%s", hint))
	}
	return list
}

// perhapsElsewhere names what a plan creates and a backend that cannot be asked
// may run already: a bottle whose manifest moved it.
func (p *planning) perhapsElsewhere() diag.List {
	var created []string
	for _, c := range p.plan.Changes {
		if c.Action == plan.Create {
			created = append(created, c.ID.String())
		}
	}
	if len(created) == 0 {
		return nil
	}
	var list diag.List
	for _, name := range slices.Sorted(maps.Keys(p.unknown)) {
		list = append(list, warning("whether %s runs on %s already is not known: what runs there goes on beside it", strings.Join(created, ", "), name).
			WithHint("bb plan shows it when %s answers again, and bb apply removes it", name))
	}
	return list
}

func warning(format string, args ...any) diag.Diagnostic {
	d := diag.Errorf(format, args...)
	d.Severity = diag.Warning
	return d
}

// diff compares what drivers saw with the desire, and notes what none saw.
func (p *planning) diff(desired plan.Desired) {
	p.plan = plan.Diff(desired, p.seen)
	p.plan.Notes = append(p.plan.Notes, append(p.ignorance(), p.perhapsElsewhere()...)...)
}

// noBottle is the error for names that nothing in view has: what could not be
// asked may have them.
func (p *planning) noBottle(names, known []string) error {
	return append(flatten(unknownBottle(names, known)), p.ignorance()...)
}

// mark notes on which backends something may be made now, so that they are asked
// from then on. What an older bb may have used stays known.
func (p *planning) mark() error {
	used := map[string]bool{defaultBackend: p.state.UsedBackend(defaultBackend)}
	for _, s := range p.specs {
		used[s.Backend] = true
		if built(s) {
			used[defaultBackend] = true
		}
	}
	maps.DeleteFunc(used, func(_ string, is bool) bool { return !is })
	return p.state.MarkBackends(slices.Sorted(maps.Keys(used))...)
}

// backendOf is the backend of a bottle, "" where only the drivers know: machines
// have a record on this host.
func (a *app) backendOf(ctx context.Context, st *state.State, sc scopes, name string) string {
	sidecars, err := hostside.New(hostside.Options{Dir: sidecarsDir(st)})
	if err != nil {
		return ""
	}
	list, err := sidecars.List(ctx)
	if err != nil {
		return ""
	}
	var ids []spec.ID
	for _, x := range list {
		ids = append(ids, x.ID)
	}
	id, ok := sc.one(name, ids)
	// A bottle of the repository, on another backend, would hide one of home.
	if !ok || id.Scope != cmp.Or(sc.repo, sc.home) && !strings.HasPrefix(name, "home/") {
		return ""
	}
	return machineBackend
}
