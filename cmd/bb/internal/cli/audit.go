package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
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
			if err := c.print(a.stdout, r); err != nil {
				return err
			}
		}
	}
	if !found && !c.JSON {
		return diag.Errorf("%s asked nothing, and nobody decided anything about it", c.Agent).WithHint("bb supervise lists what waits")
	}
	return nil
}

func (c *auditCmd) print(w io.Writer, r approval.Record) error {
	if c.JSON {
		var line bytes.Buffer
		e := json.NewEncoder(&line)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil {
			return err
		}
		_, err := fmt.Fprintln(w, view.EscapeJSON(strings.TrimSuffix(line.String(), "\n")))
		return err
	}
	_, err := io.WriteString(w, auditText(r))
	return err
}

// auditText is a record for people: a line, and what it changed below it.
func auditText(r approval.Record) string {
	at := "-"
	if !r.Time.IsZero() {
		at = r.Time.Local().Format(time.DateTime)
	}
	line := fmt.Sprintf("%-19s  %-9s", at, r.Event)
	if r.Who != "" {
		line += " by " + r.Who
	}
	if r.Proposal != nil {
		line += "  " + short(r.Proposal.ID) + "  " + what(*r.Proposal)
	}
	switch {
	case r.Keep:
		line += ", for as long as the bottle is there"
	case !r.Until.IsZero():
		line += ", until " + r.Until.Local().Format(time.DateTime)
	}
	if r.Why != "" {
		line += ": " + r.Why
	}
	text := view.Escape(line) + "\n"
	for _, l := range auditChanges(r) {
		text += "    " + view.Escape(l) + "\n"
	}
	return text
}

// auditChanges are the routes that were and are not, and those that are and were
// not; values; and an image that was written.
func auditChanges(r approval.Record) (lines []string) {
	if r.Event != approval.Approved && r.Event != approval.Revoked {
		return nil // it changed nothing yet, or nothing at all
	}
	line := func(x egress.Route) string { return view.RouteWhole(x, nil) }
	in := func(x egress.Route, list []egress.Route) bool {
		return slices.ContainsFunc(list, func(y egress.Route) bool { return line(x) == line(y) })
	}
	for _, x := range r.Before {
		if !in(x, r.After) {
			lines = append(lines, "- "+line(x))
		}
	}
	for _, x := range r.After {
		if !in(x, r.Before) {
			lines = append(lines, "+ "+line(x))
		}
	}
	for _, v := range r.Values {
		mark := "+"
		if r.Event == approval.Revoked {
			mark = "-"
		}
		lines = append(lines, fmt.Sprintf("%s %s:%d  value %s (%s)", mark, v.Value.Host, v.Value.Port, short(v.Value.Digest), v.What))
	}
	if i := r.Image; i != nil && i.After != "" {
		lines = append(lines, "image "+i.Before, "written to "+i.After+", sha256 "+short(i.SHA256))
	}
	return lines
}
