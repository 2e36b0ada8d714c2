package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// offerPruning asks whether bottles that no manifest declares shall go too. A
// yes names them: -y is no such yes.
func (p *planning) offerPruning(ctx context.Context, yes bool) error {
	kept := map[string]spec.ID{}
	var names []string
	for _, c := range p.plan.Changes {
		if !c.Kept {
			continue
		}
		name := c.ID.String()
		if _, taken := kept[name]; taken {
			name = c.ID.Name() // another scope's of the same name
		}
		kept[name], names = c.ID, append(names, name)
	}
	if yes || len(kept) == 0 || !isTerminal(p.app.stdin) {
		return nil
	}
	answer, err := p.app.line(fmt.Sprintf("No manifest declares %s. Type what to remove too, or nothing to keep it: ", strings.Join(names, ", ")))
	if err != nil || answer == "" {
		return err
	}
	for _, name := range strings.FieldsFunc(answer, func(r rune) bool { return r == ' ' || r == ',' }) {
		id, ok := kept[name]
		if !ok {
			return exitError{exitFailed, fmt.Sprintf("nothing was done: %q is none of them", name)}
		}
		p.pruned = append(p.pruned, id)
	}
	return p.look(ctx)
}

// consent makes sure that somebody wants what ends running commands: by
// --force, or by naming each bottle. -y alone is no such consent.
func (p *planning) consent(operation string, yes, force bool) error {
	p.tellUnread()
	var busy []plan.Change
	for _, c := range p.plan.Changes {
		if c.Ends() && c.Sessions > 0 {
			busy = append(busy, c)
		}
	}
	p.mayEnd = make(map[spec.ID]bool, len(busy))
	for _, c := range busy {
		p.mayEnd[c.ID] = true
	}
	if force {
		p.endAll = true
		return nil
	}
	if len(busy) > 0 && (yes || !isTerminal(p.app.stdin)) {
		var list diag.List
		for _, c := range busy {
			list = append(list, inUse(c.ID, c.Sessions, operation))
		}
		return list
	}
	for _, c := range busy {
		what := map[plan.Action]string{plan.Replace: "replace", plan.Remove: "remove", plan.Stop: "stop"}[c.Action]
		answer, err := p.app.line(fmt.Sprintf("%s is in use: %s. Type its name to %s it anyway: ", c.ID, view.Running(c.Sessions), what))
		if err != nil {
			return err
		}
		if answer != c.ID.String() {
			return exitError{exitFailed, "nothing was done"}
		}
	}
	return nil
}

func inUse(id spec.ID, sessions int, operation string) diag.Diagnostic {
	if !slices.Contains([]string{"apply", "cleanup", "destroy", "stop"}, operation) { // others have no such word
		operation = "destroy " + id.String()
	}
	return diag.Errorf("%s is in use: %s", id, view.Running(sessions)).
		WithHint("wait for the end, or bb %s --force", operation)
}

// stillIdle stops a removal that would end a command which nobody was asked
// about: it began after the plan.
func (p *planning) stillIdle(ctx context.Context, d backends.Driver, id spec.ID) error {
	if p.endAll || p.mayEnd[id] {
		return nil
	}
	n, err := d.Sessions(ctx, id)
	if err != nil || n == 0 {
		return err
	}
	return inUse(id, n, p.operation)
}

// ends asks, for each change that ends what runs in an agent, how much that is.
func (p *planning) ends(ctx context.Context) error {
	var work []func() error
	for i := range p.plan.Changes {
		c := &p.plan.Changes[i]
		if !c.Ends() && !c.Kept {
			continue
		}
		work = append(work, func() (err error) {
			c.Sessions, err = p.sessionsOf(ctx, c)
			return err
		})
	}
	return atOnce(work)
}

// sessionsOf counts on the backend that the change removes the agent from.
func (p *planning) sessionsOf(ctx context.Context, c *plan.Change) (int, error) {
	total := 0
	for name, d := range p.drivers {
		moves := c.Action == plan.Replace && slices.Contains(c.Reasons, plan.BackendChanged)
		if name != c.Backend && !moves || p.unknown[name] != nil {
			continue
		}
		n, err := d.Sessions(ctx, c.ID)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
