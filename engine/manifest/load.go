package manifest

import (
	"runtime"
	"slices"
	"sync"

	"github.com/bot-bottle/bb/engine/diag"
)

// loader carries one run from directories to a fleet.
type loader struct {
	options Options
	found   *found
	judges  []*judge
	bottles *graph
	merged  *resolver
	agents  map[*file]*declaredAgent
	broken  map[string]bool // bottles
	customs *customs
	fleet   *Fleet
}

func load(o Options) (*Fleet, diag.List) {
	l := &loader{
		options: o, found: find(o), agents: map[*file]*declaredAgent{}, broken: map[string]bool{},
		fleet: &Fleet{Bottles: map[string]*Bottle{}},
	}
	if err := l.startJudges(); err != nil {
		return l.fleet, diag.List{diag.Errorf("internal error: %v", err)}
	}
	l.shapes()
	l.lineage()
	l.resolve()
	l.pair()
	l.fleet.Manifests = l.listing()
	return l.fleet, l.diagnostics()
}

// startJudges makes one judge for a few files, and one per processor when
// there are enough files to pay for compiling the schema again.
func (l *loader) startJudges() error {
	const filesPerJudge = 64
	count := min(runtime.GOMAXPROCS(0), 1+len(l.found.files)/filesPerJudge)
	l.judges = make([]*judge, count)
	errs := make([]error, count)
	var wait sync.WaitGroup
	for i := range count {
		wait.Go(func() { l.judges[i], errs[i] = newJudge() })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// spread calls do for 0..n-1 on all judges. Each index is handled by one
// judge, and do touches only what belongs to its index.
func (l *loader) spread(n int, do func(j *judge, i int)) {
	var wait sync.WaitGroup
	for w, j := range l.judges {
		wait.Go(func() {
			for i := w; i < n; i += len(l.judges) {
				do(j, i)
			}
		})
	}
	wait.Wait()
}

// shapes reads every file and judges it alone.
func (l *loader) shapes() {
	files := l.found.files
	l.spread(len(files), func(j *judge, i int) {
		if f := files[i]; f.kind == providerKind {
			f.readCustom(j)
		}
	})
	l.customs = newCustoms(files, l.found.ignoredProviders)
	policies := make([]*policy, len(files))
	agents := make([]*declaredAgent, len(files))
	l.spread(len(files), func(j *judge, i int) {
		f := files[i]
		if f.kind == providerKind {
			return
		}
		f.customs = l.customs
		f.read()
		if f.root == nil {
			return
		}
		j.check(f)
		if f.kind == bottleKind {
			policies[i] = f.decodeBottle()
		} else {
			agents[i] = f.decodeAgent()
		}
	})
	own := map[string]*policy{}
	for i, f := range files {
		switch {
		case f.kind == bottleKind:
			own[f.name] = policies[i]
		case agents[i] != nil:
			l.agents[f] = agents[i]
		}
	}
	l.bottles = newGraph(l.files(bottleKind))
	l.merged = &resolver{graph: l.bottles, own: own, resolved: map[string]*policy{}}
}

// lineage judges who extends whom and marks what hangs on something broken.
func (l *loader) lineage() {
	l.bottles.judge(l.judges[0])
	for _, name := range l.bottles.names {
		for _, ancestor := range l.bottles.closure(name) {
			if f := l.bottles.files[ancestor]; f == nil || f.broken() {
				l.broken[name] = true
			}
		}
	}
}

// resolve merges the sound bottles and judges those again that inherit.
func (l *loader) resolve() {
	var sound []string
	for _, name := range l.bottles.names {
		if !l.broken[name] {
			sound = append(sound, name)
			l.merged.resolve(name)
		}
	}
	l.spread(len(sound), func(j *judge, i int) {
		if name := sound[i]; len(l.bottles.edges[name]) > 0 {
			j.rejudge(l.bottles.files[name], l.merged.resolved[name])
		}
	})
	for _, name := range sound {
		f := l.bottles.files[name]
		if f.broken() {
			l.broken[name] = true
			continue
		}
		l.fleet.Bottles[name] = l.merged.resolved[name].bottle(f, l.bottles.closure(name))
	}
	for name := range l.broken {
		l.fleet.BrokenBottles = append(l.fleet.BrokenBottles, name)
	}
	slices.Sort(l.fleet.BrokenBottles)
}

func (l *loader) files(k kind) []*file {
	var out []*file
	for _, f := range l.found.files {
		if f.kind == k {
			out = append(out, f)
		}
	}
	return out
}

// diagnostics gathers everything, lowers what nobody asked for, and sorts.
func (l *loader) diagnostics() diag.List {
	out := slices.Clone(l.found.problems)
	used, all := l.used(&out)
	for _, f := range l.found.files {
		for _, d := range f.few() {
			if !all && !used[f] && !f.runaway {
				d.Severity = diag.Warning
			}
			out = append(out, d)
		}
	}
	out.Sort()
	return out
}
