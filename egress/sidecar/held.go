package sidecar

import (
	"context"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate"
)

// ask holds a request until a person answered, or nobody did in time.
func (s *state) ask(ctx context.Context, h egress.HeldValue) (egress.Answer, error) {
	if !s.supervised() {
		return egress.Answer{}, errNotSupervised
	}
	item, err := s.queue.Add(egress.Proposal{Kind: egress.ProposeValue, Held: &h, Expires: time.Now().Add(egress.HoldLimit)})
	if err != nil {
		return egress.Answer{}, err
	}
	answer, ok, err := s.queue.Wait(ctx, item, egress.HoldLimit+time.Second)
	if err == nil && !ok {
		err = context.DeadlineExceeded
	}
	return answer, err
}

// pushTold is how long a person is told of a push that was refused.
const pushTold = time.Hour

// tellPush has a person know of a push that the gate refused. There is nothing to
// approve: what the gate may take is the manifest's to say.
func (s *state) tellPush(e gitgate.Entry, more int) {
	if !s.supervised() {
		return
	}
	clip := func(text string) string { return text[:min(len(text), egress.MaxReason)] }
	_, err := s.queue.Add(egress.Proposal{
		Kind: egress.ProposePush, Expires: time.Now().Add(pushTold),
		Push: &egress.PushNotice{Remote: clip(e.Remote), Ref: clip(e.Ref), Reason: clip(e.Reason), More: more},
	})
	if err != nil {
		s.opts.note("a refused push was not told of: %v", err)
	}
}
