package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	// watchEvery is how often what was told is looked at, and lookAgain how often
	// bottles that came or went.
	watchEvery = 300 * time.Millisecond
	lookAgain  = 5 * time.Second
)

// watched is one line of --watch --json.
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
	p, err := a.supervising(ctx, nil)
	if err != nil {
		return contextErr(ctx, err)
	}
	known := map[string]asked{}
	said, looked := "", time.Now()
	for {
		all, err := w.list(p)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		if time.Since(looked) > lookAgain {
			looked = time.Now()
			again, broken := a.supervising(ctx, nil)
			if broken == nil {
				p = again
			}
			err = errors.Join(err, broken)
		}
		if text := fmt.Sprint(err); err != nil && text != said {
			a.warn(flatten(err))
			said = text
		}
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

// tell prints what is new in all, and what of the known is not in it any more.
func (c *superviseListCmd) tell(a *app, known map[string]asked, all []asked) error {
	there := map[string]bool{}
	var events []watched
	for _, x := range all {
		there[x.Proposal.ID] = true
		if _, ok := known[x.Proposal.ID]; !ok {
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
			err = json.NewEncoder(a.stdout).Encode(e)
		case e.asked != nil:
			_, err = fmt.Fprintln(a.stdout, e.line())
		default:
			_, err = fmt.Fprintf(a.stdout, "%s  waits no more\n", short(e.ID))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
