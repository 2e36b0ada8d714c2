package cli

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/docker"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// workspaceWords are the commands that --workspace means something to.
var workspaceWords = []string{"plan", "apply", "run", "start", "dashboard"}

// oneWorkspace demands that --workspace comes with the agent it is for.
func (a *app) oneWorkspace(want []string) error {
	if a.g.Workspace == "" || len(want) == 1 {
		return nil
	}
	return diag.Errorf("--workspace is for one agent").WithHint("name it: bb apply --workspace %s AGENT", view.Escape(a.g.Workspace))
}

// hazards are what this machine and this user keep from any agent.
func (a *app) hazards() compile.Hazards {
	home, _ := os.UserHomeDir() // without one there is nothing to keep
	h := compile.Hazards{Home: home, Private: []string{a.g.Home}, Sockets: docker.Sockets(os.Getenv)}
	if s := os.Getenv("SSH_AUTH_SOCK"); filepath.IsAbs(s) {
		h.Sockets = append(h.Sockets, s)
	}
	return h
}

// workspaces holds a plan to what its workspaces need, and says what a mount
// means. The directory that an instance has kept is judged again here: it may
// have become something else.
func (p *planning) workspaces() error {
	var problems diag.List
	for _, c := range p.plan.Changes {
		if c.Spec == nil || !needsWorkspace(c) {
			continue
		}
		w := c.Spec.Fixed.Workspace
		if err := p.workspace(c.Spec); err != nil {
			problems = append(problems, flatten(err)...)
		} else if w.Mode == spec.WorkspaceMount {
			p.plan.Notes = append(p.plan.Notes, mounted(c.Spec)...)
		}
	}
	problems.Sort()
	return problems.Err()
}

// needsWorkspace reports whether the directory on the host is used. A copy
// that starts again has all in itself; one that never ran looks by itself.
func needsWorkspace(c plan.Change) bool {
	switch c.Action {
	case plan.Create, plan.Replace:
		return c.Spec.Fixed.Workspace.Declared()
	case plan.Start:
		return c.Spec.Fixed.Workspace.Mode == spec.WorkspaceMount
	}
	return false
}

// read lists what bb itself reads to decide what bottles are, by real paths:
// an agent that could write there would decide it.
func (p *planning) read() []string {
	var paths []string
	for _, m := range p.fleet.Manifests {
		if m.Scope == manifest.ScopeHome {
			paths = append(paths, m.File)
		}
	}
	for _, s := range p.specs {
		if s.Image.Dockerfile != "" { // its directory is what is built from
			paths = append(paths, filepath.Dir(s.Image.Dockerfile))
		}
	}
	return append(paths, filepath.Join(p.app.g.Home, "bottles"), filepath.Join(p.app.g.Home, "providers"))
}

func (p *planning) workspace(s *spec.Spec) error {
	w := s.Fixed.Workspace
	if w.Path == "" {
		return diag.Errorf("%s works on a directory, and none is named", s.ID).
			WithHint("add --workspace DIR to the command, or workspace.path to bottle %s", s.Source.Bottle)
	}
	h := p.app.hazards()
	if w.Mode == spec.WorkspaceMount {
		h.Private = append(h.Private, p.read()...)
	}
	real, err := compile.Directory(w.Path, h)
	if err != nil {
		return diag.Errorf("workspace of %s: %v", s.ID, err)
	}
	if real != w.Path {
		return diag.Errorf("workspace of %s: %s leads to %s now", s.ID, w.Path, real).
			WithHint("name the directory that is meant: --workspace DIR")
	}
	if w.Mode != spec.WorkspaceMount {
		return nil
	}
	if found := compile.Sockets(real); len(found) > 0 {
		return diag.Errorf("workspace of %s: %s holds sockets of programs on this machine: %s", s.ID, real, strings.Join(found, ", ")).
			WithHint("end those programs, or use workspace: {mode: copy}")
	}
	if m, ok := p.drivers[s.Backend].(backends.Mounter); ok {
		return m.CanMount()
	}
	return nil
}

// mounted are the warnings of a mount.
func mounted(s *spec.Spec) diag.List {
	w := s.Fixed.Workspace
	d := diag.Diagnostic{
		Severity: diag.Warning,
		Message:  s.ID.String() + " writes to your files in " + w.Path + ": hooks, tasks and builds in it run as you",
		Hint:     "workspace: {mode: copy} works on a copy",
	}
	list := diag.List{d}
	info, err := os.Stat(w.Path)
	if err != nil {
		return list
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != spec.UID {
		list = append(list, diag.Diagnostic{
			Severity: diag.Warning,
			Message:  w.Path + " belongs to another user than the agent of " + s.ID.String() + ", who may be unable to write there",
			Hint:     "in the bottle its files have the numbers of this machine, the agent is user 1000",
		})
	}
	return list
}
