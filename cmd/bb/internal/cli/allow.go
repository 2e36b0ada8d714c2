package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type allowCmd struct {
	Agent string `arg:"" help:"An agent of the repository around the working directory."`
}

// Run approves one agent of a repository: it shows the bottle, what that may
// do, and the whole prompt, and asks. There is no flag that answers for the
// person: a clone, or an agent at work in it, can write the file.
func (c *allowCmd) Run(a *app) error {
	w, err := a.compile([]string{c.Agent}, state.Open)
	if err != nil {
		return err
	}
	x := w.fleet.Agent(c.Agent)
	switch {
	case x == nil || len(w.specs) == 0 && x.Replicas > 0:
		return diag.Errorf("there is no agent %q", c.Agent)
	case x.Scope != manifest.ScopeRepository:
		return diag.Errorf("%s is an agent of your home directory", c.Agent).WithHint("only a repository's agents need to be allowed")
	case !slices.Contains(w.unapproved, x):
		_, err := fmt.Fprintf(a.stdout, "%s is allowed already, as it is now.\n", c.Agent)
		return err
	}
	a.warn(w.warnings)
	if err := a.showPowers(x, w.specs); err != nil {
		return err
	}
	if err := a.ask("Let this agent use this bottle?", "a person has to read this: run bb allow in a terminal"); err != nil {
		return err
	}
	// The person read what was loaded: that content is approved, not whatever
	// the file holds by now.
	if err := w.state.Allow(w.scopes.repo, x.Name, x.Digest()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "Allowed. A changed file asks again. Next: bb plan %s\n", x.Name)
	return err
}

func (a *app) showPowers(x *manifest.Agent, specs []*spec.Spec) error {
	st := a.style(a.stdout)
	fmt.Fprintf(a.stdout, "agent %s, from %s\n\n", x.Name, view.Escape(st.Path(x.File)))
	if len(specs) > 0 {
		if _, err := fmt.Fprint(a.stdout, st.Powers(specs[0])); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.stdout, "\nprompt, %d bytes:\n", len(x.Prompt))
	for line := range strings.SplitSeq(x.Prompt, "\n") {
		fmt.Fprintf(a.stdout, "    %s\n", view.Escape(line))
	}
	_, err := fmt.Fprintln(a.stdout)
	return err
}
