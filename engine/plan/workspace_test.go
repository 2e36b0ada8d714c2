package plan

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bb/engine/spec"
)

func works(mode, path string) func(*spec.Spec) {
	return func(s *spec.Spec) {
		s.Fixed.Workspace = spec.Workspace{Mode: mode, Path: path, GuestPath: spec.Workdir}
	}
}

// Which directory an instance has after a plan, and what that plan is.
func TestKeepWorkspace(t *testing.T) {
	for name, c := range map[string]struct {
		observed   string // mode and path of what runs; "" is nothing
		mode, path string // what is desired now
		root       string
		want       string
		action     Action
		fields     string
	}{
		"nothing is named, nothing runs":     {mode: "copy", want: "", action: Create},
		"the command or bottle names one":    {mode: "copy", path: "/a", want: "/a", action: Create},
		"a repository is the default":        {mode: "copy", root: "/repo", want: "/repo", action: Create},
		"a name wins over the repository":    {mode: "copy", path: "/a", root: "/repo", want: "/a", action: Create},
		"an existing one keeps its own":      {observed: "copy /a", mode: "copy", want: "/a", action: None},
		"and keeps it over the repository":   {observed: "copy /a", mode: "copy", root: "/repo", want: "/a", action: None},
		"the same named again":               {observed: "copy /a", mode: "copy", path: "/a", want: "/a", action: None},
		"another named":                      {observed: "copy /a", mode: "copy", path: "/b", want: "/b", action: Replace, fields: "workspace.path"},
		"another mode keeps the directory":   {observed: "copy /a", mode: "mount", want: "/a", action: Replace, fields: "workspace.mode"},
		"none any more":                      {observed: "copy /a", mode: "none", want: "", action: Replace, fields: "workspace.mode workspace.path"},
		"one at last, none named":            {observed: "none", mode: "copy", want: "", action: Replace, fields: "workspace.mode"},
		"one at last, the repository's":      {observed: "none", mode: "copy", root: "/repo", want: "/repo", action: Replace, fields: "workspace.mode workspace.path"},
		"mounts are kept as well":            {observed: "mount /a", mode: "mount", want: "/a", action: None},
		"a workspace of none has no default": {observed: "none", mode: "none", root: "/repo", want: "", action: None},
	} {
		t.Run(name, func(t *testing.T) {
			s := bottleSpec("dev", works(c.mode, c.path))
			s.WorkspaceRoot = c.root
			var observed []Instance
			if c.observed != "" {
				mode, path, _ := strings.Cut(c.observed, " ")
				observed = append(observed, running(bottleSpec("dev", works(mode, path))))
			}
			w := world([]*spec.Spec{s}, observed...)
			p := Diff(Desired{
				Specs: []*spec.Spec{s}, Scopes: []string{scope},
				Hash: func(s *spec.Spec) (string, string) { return s.Hash(key), s.FixedJSON(key) },
			}, []World{w})
			kept := keepWorkspace(s, observed)
			if kept.Fixed.Workspace.Path != c.want {
				t.Errorf("path %q, want %q", kept.Fixed.Workspace.Path, c.want)
			}
			if s.Fixed.Workspace.Path != c.path {
				t.Error("the desire itself was changed")
			}
			if c.action == None {
				if len(p.Changes) > 0 {
					t.Errorf("a change: %+v", p.Changes)
				}
				return
			}
			got := p.Changes[0]
			var fields []string
			for _, d := range got.Diff {
				fields = append(fields, d.Path)
			}
			if got.Action != c.action || strings.Join(fields, " ") != c.fields || got.Spec.Fixed.Workspace.Path != c.want {
				t.Errorf("%s %v of %q, want %s %s of %q", got.Action, fields, got.Spec.Fixed.Workspace.Path, c.action, c.fields, c.want)
			}
		})
	}
}

func TestLostWork(t *testing.T) {
	copied, mounted := running(bottleSpec("dev", works("copy", "/src/x"))), running(bottleSpec("dev", works("mount", "/src/x")))
	for _, c := range []struct {
		p    *Plan
		want string
	}{
		{diff([]*spec.Spec{bottleSpec("dev", works("copy", "/src/y"))}, copied), "its copy of /src/x is made anew: bb cp dev:/home/node/workspace DIR saves the agent's work"},
		{diff(nil, copied), "its copy of /src/x goes with it: bb cp dev:/home/node/workspace DIR saves the agent's work"},
		{Destroy([]World{world(nil, copied)}, []string{scope}, nil), "its copy of /src/x goes with it: bb cp dev:/home/node/workspace DIR saves the agent's work"},
		{diff([]*spec.Spec{bottleSpec("dev", works("mount", "/src/y"))}, mounted), ""},
		{Destroy([]World{world(nil, mounted)}, []string{scope}, nil), ""},
		{Destroy([]World{world(nil, Instance{ID: copied.ID, Backend: "docker"})}, []string{scope}, nil), ""},
	} {
		if len(c.p.Changes) != 1 || c.p.Changes[0].Note != c.want {
			t.Errorf("%+v, want the note %q", c.p.Changes, c.want)
		}
	}
}

func diff(desired []*spec.Spec, observed ...Instance) *Plan {
	return Diff(Desired{
		Specs: desired, Scopes: []string{scope},
		Hash: func(s *spec.Spec) (string, string) { return s.Hash(key), s.FixedJSON(key) },
	}, []World{world(desired, observed...)})
}
