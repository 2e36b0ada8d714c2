package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type auditCmd struct {
	Agent string `arg:"" help:"The agent; it need not be there any more."`
	JSON  bool   `help:"Print the lines as they are kept."`
}

// Run prints what an agent asked, and who decided what about it.
func (c *auditCmd) Run(_ context.Context, a *app) error {
	if err := a.homeExists(); err != nil {
		return err
	}
	st, err := state.Read(a.g.Home)
	if err != nil {
		return err
	}
	sc, err := a.scopes(st)
	if err != nil {
		return err
	}
	found := false
	for _, scope := range sc.all() {
		all, err := approvals(st).History(spec.ID{Scope: scope, Agent: agentOf(c.Agent)})
		if err != nil {
			return err
		}
		for _, r := range all {
			found = true
			if c.JSON {
				b, err := json.Marshal(r)
				if err != nil {
					return err
				}
				fmt.Fprintln(a.stdout, view.EscapeJSON(string(b)))
				continue
			}
			line := fmt.Sprintf("%s  %-9s", r.Time.Local().Format("2006-01-02 15:04:05"), r.Event)
			if r.Who != "" {
				line += " by " + view.Escape(r.Who)
			}
			if r.Proposal != nil {
				line += "  " + short(r.Proposal.ID) + "  " + view.Escape(what(*r.Proposal))
			}
			if r.Why != "" {
				line += ": " + view.Escape(r.Why)
			}
			fmt.Fprintln(a.stdout, line)
		}
	}
	if !found && !c.JSON {
		return diag.Errorf("%s asked nothing, and nobody decided anything about it", c.Agent).WithHint("bb supervise lists what waits")
	}
	return nil
}
