package plan_test

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/plan/plantest"
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
		action     plan.Action
		fields     string
	}{
		"nothing is named, nothing runs":     {mode: "copy", want: "", action: plan.Create},
		"the command or bottle names one":    {mode: "copy", path: "/a", want: "/a", action: plan.Create},
		"a repository is the default":        {mode: "copy", root: "/repo", want: "/repo", action: plan.Create},
		"a name wins over the repository":    {mode: "copy", path: "/a", root: "/repo", want: "/a", action: plan.Create},
		"an existing one keeps its own":      {observed: "copy /a", mode: "copy", want: "/a", action: plan.None},
		"and keeps it over the repository":   {observed: "copy /a", mode: "copy", root: "/repo", want: "/a", action: plan.None},
		"the same named again":               {observed: "copy /a", mode: "copy", path: "/a", want: "/a", action: plan.None},
		"another named":                      {observed: "copy /a", mode: "copy", path: "/b", want: "/b", action: plan.Replace, fields: "workspace.path"},
		"another mode keeps the directory":   {observed: "copy /a", mode: "mount", want: "/a", action: plan.Replace, fields: "workspace.mode"},
		"none any more":                      {observed: "copy /a", mode: "none", want: "", action: plan.Replace, fields: "workspace.mode workspace.path"},
		"one at last, none named":            {observed: "none", mode: "copy", want: "", action: plan.Replace, fields: "workspace.mode"},
		"one at last, the repository's":      {observed: "none", mode: "copy", root: "/repo", want: "/repo", action: plan.Replace, fields: "workspace.mode workspace.path"},
		"mounts are kept as well":            {observed: "mount /a", mode: "mount", want: "/a", action: plan.None},
		"a workspace of none has no default": {observed: "none", mode: "none", root: "/repo", want: "", action: plan.None},
	} {
		t.Run(name, func(t *testing.T) {
			s := plantest.Spec("dev", works(c.mode, c.path))
			s.WorkspaceRoot = c.root
			var observed []plan.Instance
			if c.observed != "" {
				mode, path, _ := strings.Cut(c.observed, " ")
				observed = append(observed, plantest.Running(plantest.Spec("dev", works(mode, path))))
			}
			p := diff([]*spec.Spec{s}, observed...)
			if s.Fixed.Workspace.Path != c.path {
				t.Error("the desire itself was changed")
			}
			if c.action == plan.None {
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
	copied, mounted := plantest.Running(plantest.Spec("dev", works("copy", "/src/x"))), plantest.Running(plantest.Spec("dev", works("mount", "/src/x")))
	for _, c := range []struct {
		p    *plan.Plan
		want string
	}{
		{diff([]*spec.Spec{plantest.Spec("dev", works("copy", "/src/y"))}, copied), "its copy of /src/x is made anew: bb cp dev:/home/node/workspace DIR saves the agent's work"},
		{diff(nil, copied), "its copy of /src/x goes with it: bb cp dev:/home/node/workspace DIR saves the agent's work"},
		{plan.Destroy([]plan.World{plantest.World("docker", nil, copied)}, []spec.ID{copied.ID, mounted.ID}), "its copy of /src/x goes with it: bb cp dev:/home/node/workspace DIR saves the agent's work"},
		{diff([]*spec.Spec{plantest.Spec("dev", works("mount", "/src/y"))}, mounted), "what the agent made in it goes: bb cp dev:. DIR saves it"},
		{plan.Destroy([]plan.World{plantest.World("docker", nil, mounted)}, []spec.ID{copied.ID, mounted.ID}), ""},
		{plan.Destroy([]plan.World{plantest.World("docker", nil, plan.Instance{ID: copied.ID, Backend: "docker"})}, []spec.ID{copied.ID, mounted.ID}), ""},
	} {
		if len(c.p.Changes) != 1 || c.p.Changes[0].Note != c.want {
			t.Errorf("%+v, want the note %q", c.p.Changes, c.want)
		}
	}
}

func diff(desired []*spec.Spec, observed ...plan.Instance) *plan.Plan {
	return plan.Diff(plantest.Desired(desired...), []plan.World{plantest.World("docker", desired, observed...)})
}
