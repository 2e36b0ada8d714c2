package cli

import (
	"path/filepath"

	"github.com/bot-bottle/bb/engine/approval"
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
