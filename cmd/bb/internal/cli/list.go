package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bot-bottle/bb/engine/manifest"
)

type listCmd struct {
	JSON bool `help:"Print as JSON."`
}

// manifestLine is one agent or bottle of bb list.
type manifestLine struct {
	Kind    string   `json:"kind"`
	Name    string   `json:"name"`
	File    string   `json:"file,omitempty"`
	Scope   string   `json:"scope,omitempty"`
	Lineage []string `json:"lineage,omitempty"`
	Bottle  string   `json:"bottle,omitempty"`
	Broken  bool     `json:"broken,omitempty"`
}

// Run lists agents and bottles; broken ones are marked, and their mistakes go
// to stderr.
func (c *listCmd) Run(a *app) error {
	fleet, problems := manifest.Load(manifest.Options{Home: a.g.Home})
	lines := list(fleet)
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
		name := l.Name
		if l.Broken {
			name += " (broken)"
		}
		from := l.Bottle
		if l.Kind == "bottle" {
			from = strings.Join(l.Lineage, " <- ")
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", l.Kind, name, from, a.style(a.stdout).Path(l.File))
	}
	return tw.Flush()
}

func list(f *manifest.Fleet) []manifestLine {
	lines := []manifestLine{}
	for _, x := range f.Agents {
		lines = append(lines, manifestLine{Kind: "agent", Name: x.Name, File: x.File, Scope: string(x.Scope), Bottle: x.Bottle.Name})
	}
	for _, name := range f.BrokenAgents {
		lines = append(lines, manifestLine{Kind: "agent", Name: name, Broken: true})
	}
	for _, name := range slices.Sorted(maps.Keys(f.Bottles)) {
		b := f.Bottles[name]
		lines = append(lines, manifestLine{Kind: "bottle", Name: name, File: b.File, Lineage: b.Lineage})
	}
	for _, name := range f.BrokenBottles {
		lines = append(lines, manifestLine{Kind: "bottle", Name: name, Broken: true})
	}
	return lines
}
