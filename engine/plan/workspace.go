package plan

import (
	"encoding/json"
	"fmt"

	"github.com/bot-bottle/bb/engine/spec"
)

// keepWorkspace decides which directory an instance works on where neither
// the command nor the bottle names one: an existing instance keeps its own,
// a new one gets the root of its repository. It returns s or a changed copy.
func keepWorkspace(s *spec.Spec, observed []Instance) *spec.Spec {
	if w := s.Fixed.Workspace; !w.Declared() || w.Path != "" {
		return s
	}
	path := s.WorkspaceRoot
	for i := range observed {
		if was := workspaceOf(&observed[i]); was.Path != "" {
			path = was.Path
		}
	}
	kept := *s
	kept.Fixed.Workspace.Path = path
	return &kept
}

// workspaceOf reads what an instance was created with.
func workspaceOf(o *Instance) spec.Workspace {
	var f spec.Fixed
	if o.Agent == nil || json.Unmarshal([]byte(o.Agent.SpecJSON), &f) != nil {
		return spec.Workspace{}
	}
	return f.Workspace
}

// lostWork says what goes with an agent that worked on a copy, and how to
// keep it; "" where nothing does.
func lostWork(a Action, o *Instance) string {
	w := workspaceOf(o)
	if a == Replace && o.Agent != nil && w.Mode != spec.WorkspaceCopy {
		return fmt.Sprintf("what the agent made in it goes: bb cp %s:. DIR saves it", o.ID)
	}
	if w.Mode != spec.WorkspaceCopy {
		return ""
	}
	what := "goes with it"
	if a == Replace {
		what = "is made anew"
	}
	return fmt.Sprintf("its copy of %s %s: bb cp %s:%s DIR saves the agent's work", w.Path, what, o.ID, w.GuestPath)
}
