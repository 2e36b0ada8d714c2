package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/state"
)

type listCmd struct {
	JSON bool `help:"Print as JSON."`
}

// manifestLine is one agent or bottle of bb list.
type manifestLine struct {
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	File     string   `json:"file"`
	Scope    string   `json:"scope"`
	Lineage  []string `json:"lineage,omitempty"`
	Bottle   string   `json:"bottle,omitempty"`
	Broken   bool     `json:"broken,omitempty"`
	Shadowed bool     `json:"shadowed,omitempty"`
	Allowed  *bool    `json:"allowed,omitempty"`
}

// Run lists agents and bottles; broken ones are marked, and their mistakes go
// to stderr.
func (c *listCmd) Run(a *app) error {
	lines, problems, err := a.list()
	if err != nil {
		return err
	}
	a.warn(problems)
	if c.JSON {
		return a.printJSON(lines)
	}
	if len(lines) == 0 {
		_, err := fmt.Fprintln(a.stdout, "No manifests. Write the starters with bb init.")
		return err
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(tw, "KIND\tNAME\tBOTTLE\tFILE")
	for _, l := range lines {
		from := l.Bottle
		if l.Kind == "bottle" {
			from = strings.Join(l.Lineage, " <- ")
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", l.Kind, l.Name+l.marks(), view.Escape(from), view.Escape(a.style(a.stdout).Path(l.File)))
	}
	return tw.Flush()
}

func (l manifestLine) marks() string {
	marks := ""
	if l.Broken {
		marks += " (broken)"
	}
	if l.Shadowed {
		marks += " (shadowed: home/" + l.Name + ")"
	}
	if l.Allowed != nil && !*l.Allowed {
		marks += " (not allowed yet)"
	}
	return marks
}

// list works without a home directory: a first run has none.
func (a *app) list() ([]manifestLine, diag.List, error) {
	st, err := state.Read(a.g.Home)
	if err != nil {
		return nil, nil, err
	}
	sc := scopes{}
	if _, err := os.Stat(a.g.Home); err == nil {
		if sc, err = a.scopes(st); err != nil {
			return nil, nil, err
		}
	}
	fleet, problems := manifest.Load(manifest.Options{Home: a.g.Home, Repo: sc.root})
	approved, err := st.ReadAllowed()
	if err != nil {
		return nil, nil, err
	}
	unapproved := notAllowed(fleet, sc, approved)
	lines := []manifestLine{}
	for _, m := range fleet.Manifests {
		l := manifestLine{
			Kind: m.Kind, Name: m.Name, File: m.File, Scope: string(m.Scope),
			Lineage: m.Lineage, Bottle: m.Bottle, Broken: m.Broken, Shadowed: m.Shadowed,
		}
		if m.Scope == manifest.ScopeRepository && !m.Broken {
			ok := !slices.ContainsFunc(unapproved, func(x *manifest.Agent) bool { return x.Name == m.Name })
			l.Allowed = &ok
		}
		lines = append(lines, l)
	}
	return lines, problems, nil
}
