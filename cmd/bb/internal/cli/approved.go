package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/lock"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// approvals are kept where no bottle reaches.
func approvals(st *state.State) approval.Store {
	return approval.Store{Dir: filepath.Join(st.Dir, "approvals")}
}

// approved puts what people approved onto the desired instances: it is a part of
// what is wanted, and no drift.
func (c *compiled) approved() error {
	for _, s := range c.specs {
		if err := c.approve(s); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiled) approve(s *spec.Spec) error {
	o, err := approvals(c.state).Read(s.ID)
	if err != nil {
		return err
	}
	return o.Apply(&s.Live)
}

// inTurn works on what is approved while no other bb does.
func (a *app) inTurn(ctx context.Context, wait time.Duration, work func() error) (err error) {
	st, err := state.Open(a.g.Home)
	if err != nil {
		return err
	}
	held, err := lock.Acquire(ctx, st.Dir, "approvals", "supervise", wait, func(h lock.Holder) {
		fmt.Fprintf(a.stderr, "waiting for another answer (pid %d)\n", h.PID)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	return work()
}
