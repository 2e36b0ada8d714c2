package dash

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// withBottle does something about the chosen bottle.
func withBottle(do func(*model, Bottle) tea.Cmd) func(*model) tea.Cmd {
	return func(m *model) tea.Cmd {
		b, ok := chosenOf(m.snap.Bottles, m.at[bottles])
		switch {
		case !ok:
			m.say("there is no bottle: bb init writes manifests")
		case !m.free():
		case b.Elsewhere && b.Dir == "":
			m.say("where " + b.Name + " was declared is not known any more: bb cleanup removes it")
		default:
			return do(m, b)
		}
		return nil
	}
}

func (m *model) info(b Bottle) tea.Cmd {
	return m.begin(job{what: "info " + b.Name, call: Call{Args: []string{"info", b.Agent}, Dir: b.Dir}, shows: true})
}

func (m *model) attach(b Bottle) tea.Cmd {
	if b.State != Running {
		m.say(b.Name + " does not run: s starts it")
		return nil
	}
	return m.begin(job{what: "attach " + b.Name, call: Call{Args: []string{"attach", b.Exact}, Dir: b.Dir}, terminal: true})
}

func (m *model) stop(b Bottle) tea.Cmd {
	switch {
	case !b.There:
		m.say("there is nothing to stop: " + b.Name + " is " + b.State)
	case b.State == Stopped && b.Sidecar == Stopped:
		m.say(b.Name + " is stopped")
	default:
		m.ask = &question{"stop " + b.Name + "?", job{what: "stop " + b.Name, call: Call{Args: []string{"stop", b.Exact}, Dir: b.Dir}}}
	}
	return nil
}

func (m *model) revoke(b Bottle) tea.Cmd {
	m.ask = &question{
		"take back all that was approved for " + b.Name + "?",
		job{what: "revoke " + b.Name, call: Call{Args: []string{"supervise", "revoke", b.Exact}, Dir: b.Dir}},
	}
	return nil
}

// start makes a bottle run. What would cost one its disk is never done by a key:
// then the whole command, with its own question, gets the terminal.
func (m *model) start(b Bottle) tea.Cmd {
	onTerminal := func(what string, args ...string) job {
		return job{what: what + " " + b.Name, call: Call{Args: args, Dir: b.Dir}, terminal: true}
	}
	switch {
	case b.AdHoc && b.State == Running:
		m.say(b.Name + " runs: a attaches to it")
	case b.AdHoc, b.State == Stopped:
		return m.begin(onTerminal("start", "start", "--resume", b.Exact))
	case b.State == OnDemand:
		return m.begin(onTerminal("start", "start", b.Agent))
	case b.State == NotAllowed && !b.There:
		return m.begin(onTerminal("allow", "allow", b.Agent))
	case b.Elsewhere:
		return m.begin(pausing(onTerminal("apply", "apply", b.Agent)))
	case m.snap.Plan == "":
		m.say("nothing could be planned: ! says why")
	default:
		m.apply(b, pausing(onTerminal("apply", "apply", b.Agent)))
	}
	return nil
}

func pausing(j job) job {
	j.pauses = true
	return j
}

// apply asks about what the plan has for a bottle's agent, all of it.
func (m *model) apply(b Bottle, whole job) {
	var does, costs, blocked []string
	for _, c := range m.snap.Changes {
		switch {
		case c.Agent != b.Agent || c.Kept:
		case c.Action == "blocked":
			blocked = append(blocked, c.Name+" is blocked: "+c.Note)
		case c.Action == "replace" || c.Action == "remove":
			costs = append(costs, c.Action+"s "+c.Name+": its disk goes")
		default:
			does = append(does, c.Action+" "+c.Name)
		}
	}
	agent := b.Agent
	switch {
	case len(costs) > 0:
		all := slices.Concat(costs, does)
		m.ask = &question{"bb apply " + agent + " " + strings.Join(all, ", ") + ". Go on in the terminal?", whole}
	case len(does) > 0:
		m.ask = &question{strings.Join(does, ", ") + "?", job{
			what: "apply " + agent, call: Call{Args: []string{"apply", "-y", "--no-replace", b.Agent}, Dir: b.Dir},
		}}
	case len(blocked) > 0:
		m.say(strings.Join(blocked, "; "))
	case b.State == Broken:
		m.say(b.Name + " cannot be planned: ! says why")
	default:
		m.say("nothing to do: " + agent + " is as its manifest says")
	}
}

// explain says why something was refused.
func (m *model) explain() tea.Cmd {
	d, ok := chosenOf(m.snap.Denials, m.at[denials])
	switch {
	case !ok:
		m.say("nothing was refused")
	case d.Whole != "":
		m.open(&sheet{title: d.Bottle + ": " + oneLine(d.Method+" "+d.URL), text: d.Whole})
	case m.free():
		return m.begin(job{
			what:  "explain " + d.Bottle,
			call:  Call{Args: []string{"explain", "--method=" + d.Method, d.Agent, d.URL}, Dir: d.Dir},
			shows: true,
		})
	}
	return nil
}
