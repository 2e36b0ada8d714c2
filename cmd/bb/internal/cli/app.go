package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/bot-bottle/bb/backends/docker"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/host"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// app is what every command shares.
type app struct {
	g              *grammar
	stdin          io.Reader
	stdout, stderr io.Writer
	// screen is stderr while something is under way.
	screen *view.Screen
	engine *docker.Driver // nil until a backend needs it
}

// progress shows what an apply does; who calls it closes it.
func (a *app) progress() *view.Progress { return view.NewProgress(a.screen) }

// width measures the terminal behind w; nil where nothing can be redrawn.
func width(w io.Writer) func() int {
	f, ok := w.(*os.File)
	if !ok || !isTerminal(f) || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return nil
	}
	return func() int {
		columns, _, err := term.GetSize(int(f.Fd()))
		if err != nil || columns < 20 {
			return 80
		}
		return columns
	}
}

func (a *app) style(w io.Writer) view.Style {
	home, _ := os.UserHomeDir() // without one, paths are shown whole
	color := a.g.Color == "always"
	if a.g.Color == "auto" && os.Getenv("NO_COLOR") == "" {
		color = isTerminal(w)
	}
	return view.Style{Color: color, HomeDir: home}
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// compiled is the desired state of the scopes in view.
type compiled struct {
	fleet   *manifest.Fleet
	specs   []*spec.Spec
	state   *state.State
	scopes  scopes
	options compile.Options
	// desire holds the specs as they were declared, and what comes with them.
	desire compile.Result
	// unapproved are agents of a repository that nobody allowed.
	unapproved []*manifest.Agent
	// warnings are diagnostics that did not stop the command.
	warnings diag.List
}

// compile loads the manifests and makes the specs. Errors are returned as a
// list; warnings are kept for whoever prints.
func (a *app) compile(want []string, open func(string) (*state.State, error)) (*compiled, error) {
	c, err := a.manifests(want, open)
	if err != nil {
		return nil, err
	}
	if err := c.warnings.Err(); err != nil {
		return nil, err
	}
	c.make(wanted(c.fleet, want))
	return c, c.warnings.Err()
}

// manifests loads them, without the specs. Mistakes are among the warnings.
func (a *app) manifests(want []string, open func(string) (*state.State, error)) (*compiled, error) {
	if err := a.homeExists(); err != nil {
		return nil, err
	}
	if err := a.oneWorkspace(want); err != nil {
		return nil, err
	}
	st, err := open(a.g.Home)
	if err != nil {
		return nil, err
	}
	sc, err := a.scopes(st)
	if err != nil {
		return nil, err
	}
	fleet, problems := manifest.Load(manifest.Options{Home: a.g.Home, Repo: sc.root, Want: want})
	allowed, err := st.ReadAllowed()
	if err != nil {
		return nil, err
	}
	options := a.compileOptions(sc)
	options.Canary = st.Key.Canary
	return &compiled{
		fleet: fleet, state: st, scopes: sc, options: options,
		unapproved: notAllowed(fleet, sc, allowed), warnings: problems,
	}, nil
}

// make makes the specs of agents, of those that compile.
func (c *compiled) make(agents []*manifest.Agent) {
	var mistakes diag.List
	c.desire, mistakes = compile.Compile(agents, c.options)
	c.specs = c.desire.Specs
	c.warnings = append(c.warnings, mistakes...)
	c.warnings.Sort()
}

func (a *app) compileOptions(sc scopes) compile.Options {
	home, _ := os.UserHomeDir() // skills are then reported as missing
	return compile.Options{
		Backend: a.g.Backend, DefaultBackend: defaultBackend, BaseImage: a.g.BaseImage,
		Skills: filepath.Join(home, ".claude", "skills"), Scopes: sc.byManifest(),
		Workspace: a.g.Workspace, Repo: sc.root, Hazards: a.hazards(),
		Read: host.Answer, Now: time.Now(),
	}
}

// wanted are the agents that names on a command line mean; all without names.
func wanted(f *manifest.Fleet, want []string) []*manifest.Agent {
	if len(want) == 0 {
		return f.Agents
	}
	var agents []*manifest.Agent
	for _, name := range want {
		if x := f.Agent(name); x != nil && !slices.Contains(agents, x) {
			agents = append(agents, x)
		}
	}
	return agents
}

// printJSON is the form of every --json that is one document.
func (a *app) printJSON(v any) error { return a.encode(v, "  ") }

// printLine is the form of every --json that is one object a line.
func (a *app) printLine(v any) error { return a.encode(v, "") }

// encode shows what may hold text of an agent's: see view.EscapeJSON.
func (a *app) encode(v any, indent string) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	// The ends of lines are JSON's own: in strings they are escaped.
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(a.stdout, view.EscapeJSON(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) warn(list diag.List) { printDiagnostics(a.stderr, list) }

// printDiagnostics prints one line each; on a terminal with the line of the
// manifest that each is about.
func printDiagnostics(w io.Writer, list diag.List) {
	for _, d := range list {
		fmt.Fprintln(w, place(d.File, d.Error()))
		if isTerminal(w) {
			fmt.Fprint(w, view.Snippet(d, sourceLine(d)))
		}
	}
}

// sourceLine reads the line of a diagnostic again; what changed meanwhile or
// cannot be read shows none.
func sourceLine(d diag.Diagnostic) string {
	b, err := os.ReadFile(d.File)
	if err != nil || d.Line < 1 {
		return ""
	}
	lines := strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
	if d.Line > len(lines) {
		return ""
	}
	return strings.TrimPrefix(lines[d.Line-1], "\ufeff")
}

// contextErr prefers the reason that the context ended.
func contextErr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
