package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/state"
)

type psCmd struct {
	JSON bool `help:"Print as JSON."`
	All  bool `short:"a" help:"Also bottles of other scopes of this user."`
}

// bottle is one line of ps.
type bottle struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Backend string `json:"backend"`
	Scope   string `json:"scope"`
	State   string `json:"state"`
	Sidecar string `json:"sidecar"`
	Image   string `json:"image"`
	Source  string `json:"source"`
	Created int64  `json:"created,omitempty"`
	// Directory is what declares it, where that is known.
	Directory string `json:"directory,omitempty"`
}

// Run lists instances, whole and half-made, from the drivers alone.
func (c *psCmd) Run(ctx context.Context, a *app) error {
	p, err := a.withoutManifests(ctx, state.Read)
	if err != nil {
		return err
	}
	a.warn(p.ignorance())
	list := []bottle{}
	for _, w := range p.seen {
		for _, o := range w.Instances {
			if c.All || slices.Contains(p.scopes.all(), o.ID.Scope) {
				b := describe(o)
				b.Directory, _ = p.state.ScopeDir(o.ID.Scope) // "" is not known
				list = append(list, b)
			}
		}
	}
	slices.SortFunc(list, func(x, y bottle) int {
		return cmp.Or(strings.Compare(x.ID, y.ID), strings.Compare(x.Directory, y.Directory))
	})
	if c.JSON {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(a.stdout, "No bottles.")
		return err
	}
	// Where bottles of several directories are listed, each says its own.
	several := slices.ContainsFunc(list, func(b bottle) bool { return b.Scope != list[0].Scope })
	from := func(text string) string {
		if several {
			return "\t" + text
		}
		return ""
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(tw, "AGENT\tBACKEND\tSTATE\tSIDECAR\tAGE\tIMAGE"+from("FROM"))
	for _, b := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s%s\n", b.ID, b.Backend, b.State, b.Sidecar, age(b.Created), view.Escape(b.Image),
			from(view.Escape(cmp.Or(a.style(a.stdout).Path(b.Directory), "?"))))
	}
	return tw.Flush()
}

func describe(o plan.Instance) bottle {
	b := bottle{
		ID: o.ID.String(), Name: o.ID.Name(), Backend: o.Backend, Scope: o.ID.Scope,
		State: "missing", Sidecar: "missing",
	}
	if o.Agent != nil {
		b.State, b.Image, b.Source, b.Created = "stopped", o.Agent.Image, o.Agent.Source, o.Agent.Created
		switch {
		case o.Agent.Running:
			b.State = "running"
		case o.Agent.Paused:
			b.State = "paused"
		}
	}
	if o.Sidecar != nil {
		switch {
		case !o.Sidecar.Running:
			b.Sidecar = "stopped"
		case o.State != nil && o.State.State == egress.StateConfigured:
			b.Sidecar = egress.StateConfigured
		default:
			b.Sidecar = egress.StateUnconfigured
		}
	}
	return b
}

func age(created int64) string {
	if created == 0 {
		return "-"
	}
	d := time.Since(time.Unix(created, 0))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
