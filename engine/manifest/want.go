package manifest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
)

// homePrefix names the home agent that a repository's one shadows.
const homePrefix = "home/"

// pair gives every agent its bottle and sorts out who shadows whom.
func (l *loader) pair() {
	visible := l.visible()
	for _, f := range l.files(agentKind) {
		declared := l.agents[f]
		if declared != nil {
			f.checkBottle(declared.bottle, l.bottles, l.found.ignored)
		}
		shadowed := visible[f.name] != f
		var bottle *Bottle
		if declared != nil {
			bottle = l.fleet.Bottles[declared.bottle.str()]
		}
		f.checkRepository(bottle)
		switch {
		case (f.broken() || bottle == nil) && shadowed:
			l.fleet.BrokenAgents = append(l.fleet.BrokenAgents, homePrefix+f.name)
		case f.broken() || bottle == nil:
			l.fleet.BrokenAgents = append(l.fleet.BrokenAgents, f.name)
		case shadowed:
			l.fleet.Shadowed = append(l.fleet.Shadowed, declared.agent(f, bottle))
		default:
			l.fleet.Agents = append(l.fleet.Agents, declared.agent(f, bottle))
		}
	}
	byName := func(a, b *Agent) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(l.fleet.Agents, byName)
	slices.SortFunc(l.fleet.Shadowed, byName)
	slices.Sort(l.fleet.BrokenAgents)
}

// visible maps each name to the file it means: a repository's file wins, even
// a broken one, because falling back would run something else than asked for.
func (l *loader) visible() map[string]*file {
	out := map[string]*file{}
	for _, f := range l.files(agentKind) {
		if out[f.name] == nil || f.scope == ScopeRepository {
			out[f.name] = f
		}
	}
	return out
}

// used returns the files that the wanted agents stand on, or all. A wanted
// agent that does not exist is an error of its own.
func (l *loader) used(out *diag.List) (used map[*file]bool, all bool) {
	if len(l.options.Want) == 0 {
		return nil, true
	}
	used = map[*file]bool{}
	for _, want := range l.options.Want {
		f := l.lookup(want)
		if f == nil {
			*out = append(*out, diag.Errorf("unknown agent %q", want).WithHint("%s", available("agents", want, l.agentNames())))
			continue
		}
		used[f] = true
		if declared := l.agents[f]; declared != nil {
			for _, name := range l.bottles.closure(declared.bottle.str()) {
				used[l.bottles.files[name]] = true
				if p := l.merged.own[name]; p != nil {
					used[l.customs.file(p.provider.value.Template)] = true
				}
			}
		}
	}
	return used, false
}

func (l *loader) lookup(want string) *file {
	name, home := strings.CutPrefix(want, homePrefix)
	if !home {
		return l.visible()[name]
	}
	for _, f := range l.files(agentKind) {
		if f.name == name && f.scope == ScopeHome {
			return f
		}
	}
	return nil
}

func (l *loader) agentNames() []string {
	var names []string
	visible := l.visible()
	for _, f := range l.files(agentKind) {
		name := f.name
		if visible[name] != f {
			name = homePrefix + name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Agent returns the agent that a name on a command line means: NAME, or
// home/NAME for one that a repository may shadow. It is nil for a broken one,
// even where it hides a sound one.
func (f *Fleet) Agent(want string) *Agent {
	name, home := strings.CutPrefix(want, homePrefix)
	agents := f.Agents
	if home {
		agents = slices.Concat(f.Agents, f.Shadowed)
	}
	for _, a := range agents {
		if a.Name == name && (!home || a.Scope == ScopeHome) {
			return a
		}
	}
	return nil
}
