// Package view renders plans, progress and diagnostics for people, from the
// same values that --json prints.
package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Style decides how text looks.
type Style struct {
	// Color turns on ANSI colours.
	Color bool
	// HomeDir is shown as ~ at the start of paths; "" shows them whole.
	HomeDir string
	// HomeScope marks agents of the home directory where those of a repository
	// are shown too; "" marks none.
	HomeScope string
}

// name is what commands take for an instance.
func (st Style) name(id spec.ID) string {
	if st.HomeScope != "" && id.Scope == st.HomeScope {
		return "home/" + id.String()
	}
	return id.String()
}

// Plan prints what apply would do. The form is fixed by goldens: people and
// scripts read it.
func Plan(w io.Writer, p *plan.Plan, st Style) error {
	var b strings.Builder
	st.drift(&b, p.Drift)
	if p.Empty() {
		fmt.Fprintf(&b, "No changes. %s\n", matches(p.Unchanged))
		_, err := io.WriteString(w, b.String())
		return err
	}
	b.WriteString("bb will\n\n")
	for _, c := range p.Changes {
		st.change(&b, c)
	}
	fmt.Fprintf(&b, "\n%s\n", Summary("Plan", p.Summary(), p.Unchanged))
	_, err := io.WriteString(w, b.String())
	return err
}

func matches(n int) string {
	switch n {
	case 0:
		return "No bottle is declared to run."
	case 1:
		return "1 bottle matches its manifest."
	}
	return fmt.Sprintf("%d bottles match their manifests.", n)
}

// Summary is the one line that counts, after word.
func Summary(word string, s plan.Summary, unchanged int) string {
	verb := map[string][4]string{
		"Plan":    {"to create", "to update", "to replace", "to remove"},
		"Applied": {"created", "updated", "replaced", "removed"},
	}[word]
	out := fmt.Sprintf("%s: %d %s, %d %s, %d %s, %d %s", word,
		s.Create, verb[0], s.Update, verb[1], s.Replace, verb[2], s.Remove, verb[3])
	if s.Stop > 0 {
		out += fmt.Sprintf(", %d %s", s.Stop, map[string]string{"Plan": "to stop", "Applied": "stopped"}[word])
	}
	if s.Blocked > 0 {
		out += fmt.Sprintf(", %d blocked", s.Blocked)
	}
	if s.Kept > 0 {
		out += fmt.Sprintf(", %d kept", s.Kept)
	}
	if s.Failed > 0 {
		out += fmt.Sprintf(", %d failed", s.Failed)
	}
	if unchanged > 0 {
		out += fmt.Sprintf("; %d unchanged", unchanged)
	}
	return out + "."
}

// change prints one block: a head line and its details.
func (st Style) change(b *strings.Builder, c plan.Change) {
	mark := fmt.Sprintf("%3s", c.Action.Symbol())
	head := fmt.Sprintf("%-14s %-9s %s", st.name(c.ID), c.Backend, headline(c))
	fmt.Fprintf(b, "%s %s\n", st.paint(c.Action, mark), Escape(strings.TrimRight(head, " ")))
	switch {
	case c.Action == plan.Create:
		st.desire(b, c.Spec)
	case c.Note != "":
		detail(b, c.Note)
	}
	if c.Sessions > 0 {
		detail(b, "in use: "+Running(c.Sessions)+" (it needs --force, or its name at the prompt)")
	}
	for _, d := range c.Diff {
		detail(b, difference(d))
	}
}

// detail is the one way for text of manifests and labels onto the screen.
func detail(b *strings.Builder, text string) {
	fmt.Fprintf(b, "      %s\n", Escape(text))
}

var phrases = map[plan.Reason]string{
	plan.NotFound:        "not running yet",
	plan.Stopped:         "stopped",
	plan.SidecarLost:     "its sidecar is gone or enforces nothing: the bottle has no way out",
	plan.Confinement:     "this bb confines it differently",
	plan.SidecarOutdated: "its sidecar is of another bb",
	plan.TokenRotated:    "a token has a new value",
	plan.SSHAgentGone:    "its sidecar cannot ask your ssh-agent",
	plan.NotDeclared:     "no manifest declares it",
	plan.ScaledDown:      "fewer replicas are declared",
	plan.Requested:       "",
	plan.ForeignOwner:    "blocked",
	plan.ManifestBroken:  "blocked",
	plan.NotAllowed:      "blocked",
	plan.HalfMade:        "half-made",
	plan.ScopeGone:       "nothing declares it any more",
	plan.RulesChanged:    "its sidecar enforces other rules than it was given",
	plan.SidecarAltered:  "its sidecar was altered",
	plan.AgentAltered:    "altered by hand",
	plan.BackendChanged:  "backend",
	plan.NetworkChanged:  "egress.network",
	plan.PipelockChanged: "egress.pipelock",
	plan.ImageChanged:    "image",
	plan.EgressChanged:   "egress.routes",
	plan.GitChanged:      "git.remotes",
	plan.IdentityChanged: "git_user",
	plan.PromptChanged:   "prompt",
	plan.SkillsChanged:   "skills",
	plan.EnvMissing:      "its secret environment was not handed over",
	plan.LoginChanged:    "the login that it is lent",
}

// Running counts the commands that somebody runs in an agent.
func Running(sessions int) string {
	if sessions == 1 {
		return "1 command runs in it"
	}
	return fmt.Sprintf("%d commands run in it", sessions)
}

// aside is what a reason means for the agent, where that depends on what is
// done: only an update in place keeps it.
func aside(c plan.Change, r plan.Reason) string {
	switch {
	case c.Kept:
		return ": kept until bb apply --prune or bb destroy"
	case c.Action == plan.Remove && r == plan.BackendChanged:
		return ": another one has it now"
	case c.Action != plan.Update:
		return ""
	case r == plan.PromptChanged:
		return " (acts at the next attach)"
	case r == plan.SidecarOutdated, r == plan.SidecarAltered, r == plan.NetworkChanged, r == plan.PipelockChanged:
		return " (the agent stays)"
	}
	return ""
}

// fixed reports whether a difference is of the fixed half: the others have a
// phrase of their own.
func fixed(path string) bool {
	first, _, _ := strings.Cut(path, ".")
	first, _, _ = strings.Cut(first, " ")
	return !slices.Contains([]string{"image", "backend", "egress", "token", "key", "git", "git_user", "prompt", "skills"}, first)
}

// headline names what changes: fields for a changed spec, else the reason.
func headline(c plan.Change) string {
	var words []string
	for _, r := range c.Reasons {
		if r == plan.SpecChanged {
			for _, d := range c.Diff {
				if fixed(d.Path) {
					words = append(words, d.Path)
				}
			}
			continue
		}
		if r == plan.EgressChanged {
			words = append(words, egressWords(c)...)
			continue
		}
		if r == plan.TokenRotated {
			words = append(words, rotatedWords(c))
			continue
		}
		if phrase := phrases[r]; phrase != "" {
			words = append(words, phrase+aside(c, r))
		}
	}
	return strings.Join(words, ", ")
}

// Why is why an instance changes, in the words of a plan.
func Why(c plan.Change) string { return Escape(headline(c)) }

// rotatedWords tell keys from tokens.
func rotatedWords(c plan.Change) string {
	keys, tokens := false, false
	for _, d := range c.Diff {
		keys = keys || strings.HasPrefix(d.Path, "key ")
		tokens = tokens || strings.HasPrefix(d.Path, "token ")
	}
	switch {
	case keys && tokens:
		return "a token and a key have new values"
	case keys:
		return "a key has a new value"
	}
	return phrases[plan.TokenRotated]
}

// egressWords name what of egress differs: the routes, unless it is something
// else alone.
func egressWords(c plan.Change) []string {
	var others []string
	for _, d := range c.Diff {
		switch {
		case d.Path == "egress.pipelock" && slices.Contains(c.Reasons, plan.PipelockChanged): // is said
		case d.Path == "egress.parent", d.Path == "egress.pipelock", d.Path == "egress.upstream_ca":
			others = append(others, d.Path)
		case d.Path == "egress", strings.HasPrefix(d.Path, "egress.routes"):
			return []string{phrases[plan.EgressChanged]}
		}
	}
	if len(others) == 0 && !slices.Contains(c.Reasons, plan.PipelockChanged) {
		return []string{phrases[plan.EgressChanged]}
	}
	return others
}

// difference is one line: "+ new", "- old", "~ path  old -> new".
func difference(d plan.FieldDiff) string {
	mark := map[string]string{plan.Added: "+ ", plan.Removed: "- ", plan.Changed: "~ "}[d.Kind]
	route, isRoute := strings.CutPrefix(d.Path, "egress.routes[")
	host, field, _ := strings.Cut(route, "]")
	remote, isRemote := strings.CutPrefix(d.Path, "git.remotes.")
	var line string
	switch {
	case d.Opaque:
		line = d.Path + "  changed"
	case isRoute && d.Kind == plan.Changed:
		line = fmt.Sprintf("%s   %s %s -> %s", host, strings.TrimPrefix(field, "."), none(d.Old), none(d.New))
	case isRoute:
		line = host + "   " + d.Old + d.New
	case isRemote && d.Kind != plan.Changed:
		line = "git gate " + remote + " -> " + d.Old + d.New
	case d.Kind == plan.Changed:
		line = fmt.Sprintf("%s  %q -> %q", d.Path, d.Old, d.New)
	default:
		line = d.Path
	}
	return mark + strings.TrimRight(line, " ")
}

func none(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// desire prints what a new instance will be.
func (st Style) desire(b *strings.Builder, s *spec.Spec) {
	row := func(name, value string) {
		if value != "" {
			detail(b, fmt.Sprintf("%-13s %s", name, value))
		}
	}
	row("bottle", strings.Join(s.Source.Lineage, " <- ")+"      agent "+st.Path(s.Source.AgentFile))
	row("env", join(envNames(s), "      skills "+strings.Join(skillNames(s), ", "), len(s.Live.Skills) > 0))
	row("git identity", identity(s.Live.GitUser))
	for _, r := range s.Live.Remotes {
		row("git gate", r.Name+" -> "+plan.DescribeRemote(r))
	}
	row("workspace", st.workspace(s))
	if s.Gate.Network != "" {
		row("network", s.Gate.Network)
	}
	row("parent proxy", plan.DescribeParent(s.Live.Parent, s.Live.Tokens))
	if s.Gate.Pipelock {
		row("pipelock", "the last hop of all that leaves")
	}
	for _, l := range s.Logins {
		row("login", fmt.Sprintf("%s of this machine, until %s", st.Path(l.From), l.Expires.Local().Format("2006-01-02 15:04")))
	}
	for _, r := range s.Live.Routes {
		if !r.Expired(time.Now()) {
			row("egress", Route(r, s.Live.Tokens))
		}
	}
	if len(s.Live.Routes) == 0 {
		row("egress", "nothing is allowed")
	}
}

func join(a, b string, both bool) string {
	if !both {
		return a
	}
	return strings.TrimLeft(a+b, " ")
}

// workspace says what of the host the agent gets to work on, and how.
func (st Style) workspace(s *spec.Spec) string {
	w := s.Fixed.Workspace
	dir := cmp.Or(w.Path, s.WorkspaceRoot, "(no directory named yet)")
	switch w.Mode {
	case spec.WorkspaceCopy:
		return "copy of " + st.Path(dir) + " -> " + w.GuestPath
	case spec.WorkspaceMount:
		return "MOUNT " + st.Path(dir) + " -> " + w.GuestPath + ": the agent writes to your files"
	}
	return ""
}

// Path shows a path below the home directory with ~.
func (st Style) Path(p string) string {
	if st.HomeDir != "" {
		if rest, ok := strings.CutPrefix(p, st.HomeDir+"/"); ok {
			return "~/" + rest
		}
	}
	return p
}

// Powers is what an instance will be and may do, as a plan shows it for one
// that is new.
func (st Style) Powers(s *spec.Spec) string {
	var b strings.Builder
	st.desire(&b, s)
	return b.String()
}
