package sidecar

import (
	"context"
	"errors"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/pipelock"
)

// lastHop is the pipelock of the policy in force, if that wants one. Swaps come
// one after another: they alone use it.
type lastHop struct {
	options pipelock.Options
	now     *pipelock.Process
}

// ready returns the process that a document wants, running and checked, or nil.
// The one in force goes on beside it until settle, so that a document that is
// refused changes nothing.
func (h *lastHop) ready(doc egress.Document) (*pipelock.Process, error) {
	switch {
	case !doc.Pipelock:
		return nil, nil
	case doc.Parent != nil:
		return nil, errors.New("pipelock has to be the last hop, and a parent proxy too")
	case h.options.Binary == "":
		return nil, errors.New("this sidecar has no pipelock")
	case len(doc.Routes) == 0:
		return nil, nil // nothing passes
	}
	policy := pipelock.Policy{Routes: doc.Routes, UpstreamCA: doc.UpstreamCA}
	if h.now.Serves(policy) {
		return h.now, nil
	}
	// Who asks waits for controlTimeout.
	ctx, cancel := context.WithTimeout(context.Background(), controlTimeout*2/3)
	defer cancel()
	return pipelock.Start(ctx, h.options, policy)
}

// drop ends a process that comes into no force.
func (h *lastHop) drop(p *pipelock.Process) {
	if h.now != p {
		p.Stop()
	}
}

// settle ends every process but the one that is in force from now on.
func (h *lastHop) settle(p *pipelock.Process) {
	if h.now != p {
		h.now.Stop()
	}
	h.now = p
}
