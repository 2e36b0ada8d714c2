package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/state"
)

const (
	// watchEvery is how often what was told is looked at, and lookAgain how often
	// bottles that came or went.
	watchEvery = 300 * time.Millisecond
	lookAgain  = 5 * time.Second
)

// watched is one line of --watch --json. What waits is told again when its digest
// moved.
type watched struct {
	Event string `json:"event"` // "waits" or "gone"
	ID    string `json:"id"`
	*asked
}

// watch tells what comes and what goes until it is interrupted. A manifest that
// breaks meanwhile, or a sidecar that is silent, is told of once.
func (c *superviseListCmd) watch(ctx context.Context, a *app) error {
	ctx, release := a.untilSignal(ctx)
	defer release()
	w := newWatching(ctx)
	defer w.close()
	w.everywhere = c.All
	p, err := a.overseeing(ctx, state.Open)
	if err != nil {
		return contextErr(ctx, err)
	}
	known := map[string]asked{}
	said, looked := "", time.Now()
	var failed error // of the last look
	for {
		all, err := w.list(p)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		if time.Since(looked) > lookAgain {
			looked = time.Now()
			again, broken := a.overseeing(ctx, state.Open)
			if broken == nil {
				p = again
			}
			failed = broken
		}
		err = errors.Join(mistakes(p), failed, err)
		if text := fmt.Sprint(err); err != nil && text != said {
			a.warn(flatten(err))
		}
		said = fmt.Sprint(err)
		if err := c.tell(a, known, all); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// mistakes are those of manifests, which hide no bottle.
func mistakes(p *planning) error {
	if len(p.warnings) == 0 {
		return nil
	}
	return p.warnings
}

// tell prints what is new in all, or judged anew, and what of the known is not in
// it any more.
func (c *superviseListCmd) tell(a *app, known map[string]asked, all []asked) error {
	there := map[string]bool{}
	var events []watched
	for _, x := range all {
		there[x.Proposal.ID] = true
		if before, ok := known[x.Proposal.ID]; !ok || before.Digest != x.Digest || before.line() != x.line() {
			events = append(events, watched{"waits", x.Proposal.ID, &x})
		}
		known[x.Proposal.ID] = x
	}
	for id := range known {
		if !there[id] {
			delete(known, id)
			events = append(events, watched{Event: "gone", ID: id})
		}
	}
	for _, e := range events {
		var err error
		switch {
		case c.JSON:
			err = a.printLine(e)
		case e.asked != nil:
			_, err = fmt.Fprintln(a.stdout, view.Cut(e.line(), a.columns()))
		default:
			_, err = fmt.Fprintf(a.stdout, "%s  waits no more\n", short(e.ID))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
