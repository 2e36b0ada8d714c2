package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// app is what every command shares.
type app struct {
	g              *grammar
	stdin          io.Reader
	stdout, stderr io.Writer
}

func (a *app) style(w io.Writer) view.Style {
	home, _ := os.UserHomeDir() // without one, paths are shown whole
	color := a.g.Color == "always"
	if a.g.Color == "auto" && os.Getenv("NO_COLOR") == "" {
		color = isTerminal(w)
	}
	return view.Style{Color: color, HomeDir: home}
}

// expandHome reads ~/ as HOME says, also where the user database differs, and
// makes the path absolute.
func expandHome(path string) string {
	if path == "" {
		return ""
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			path = filepath.Join(home, rest)
		}
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// compiled is the desired state of one home directory.
type compiled struct {
	fleet *manifest.Fleet
	specs []*spec.Spec
	state *state.State
	scope string
	// warnings are diagnostics that did not stop the command.
	warnings diag.List
}

// compile loads the manifests and makes the specs. Errors are returned as a
// list; warnings are kept for whoever prints.
func (a *app) compile(want []string, open func(string) (*state.State, error)) (*compiled, error) {
	st, err := open(a.g.Home)
	if err != nil {
		return nil, err
	}
	scope, err := a.scope(st)
	if err != nil {
		return nil, err
	}
	fleet, problems := manifest.Load(manifest.Options{Home: a.g.Home, Want: want})
	problems = append(problems, repositoryAgents(a.g.Home)...)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	home, _ := os.UserHomeDir() // skills are then reported as missing
	specs, mistakes := compile.Compile(fleet, compile.Options{
		Backend: a.g.Backend, DefaultBackend: defaultBackend, BaseImage: a.g.BaseImage,
		Skills: filepath.Join(home, ".claude", "skills"), Want: want,
		Scopes: map[manifest.Scope]string{manifest.ScopeHome: scope},
	})
	problems = append(problems, mistakes...)
	problems.Sort()
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &compiled{fleet: fleet, specs: specs, state: st, scope: scope, warnings: problems}, nil
}

// scope is the id of this home directory, by its real path.
func (a *app) scope(st *state.State) (string, error) {
	path, err := filepath.Abs(a.g.Home)
	if err != nil {
		return "", err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", diag.Errorf("%s does not exist", a.g.Home).
			WithHint("write starter manifests with bb init, or set BB_HOME")
	}
	return spec.ScopeID(st.Owner, path), nil
}

// repositoryAgents warns about agents of the repository around the working
// directory: a cloned repository must not start anything unasked.
func repositoryAgents(home string) diag.List {
	dir, err := os.Getwd()
	if err != nil {
		return nil
	}
	for ; ; dir = filepath.Dir(dir) {
		agents := filepath.Join(dir, ".bot-bottle", "agents")
		if info, err := os.Stat(agents); err == nil && info.IsDir() && filepath.Dir(agents) != home {
			return diag.List{{
				Severity: diag.Warning, File: agents,
				Message: "agents of a repository are not used yet",
				Hint:    "copy those you trust to " + filepath.Join(home, "agents"),
			}}
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (a *app) warn(list diag.List) {
	for _, d := range list {
		fmt.Fprintln(a.stderr, view.Escape(d.Error()))
	}
}

// contextErr prefers the reason that the context ended.
func contextErr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
