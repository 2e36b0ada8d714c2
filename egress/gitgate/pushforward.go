package gitgate

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

// Bounds of passing a push on.
const (
	forwardLimit = 10 * time.Minute
	settleLimit  = 20 * time.Second
	maxSaidLines = 20
)

// forward passes the push on to the upstream, all refs or none, and each only
// if it still is what the agent said. From here on a client that goes away
// changes nothing: the upstream's answer is the truth, and must be known.
func (p *push) forward(ctx context.Context) verdict {
	if !p.detach() {
		return p.interrupted()
	}
	m := p.s.mirror
	args := []string{"push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no"}
	if len(p.head.updates) > 1 {
		args = append(args, "--atomic")
	}
	for _, u := range p.head.updates {
		args = append(args, "--force-with-lease="+u.Ref+":"+u.Old)
	}
	args = append(args, "--", m.repo.URL)
	for _, u := range p.head.updates {
		what := u.New
		if what != "" {
			what += "^{object}" // or git would take a ref that is named like the id
		}
		args = append(args, what+":"+u.Ref)
	}
	var said []string
	err := p.g.upstream.Run(ctx, m.repo, upstream.Command{
		GitDir: m.dir, Env: p.objectEnv(), Args: args, Stdout: io.Discard, Limit: forwardLimit,
		Said: func(l string) {
			if len(said) < maxSaidLines {
				said = append(said, l)
			}
		},
	})
	if err == nil {
		return verdict{kind: Accepted, lines: upstreamLines(said)}
	}
	var failure *upstream.Failure
	if !errors.As(err, &failure) {
		failure = &upstream.Failure{Kind: upstream.Other, Text: err.Error()}
	}
	return p.settle(ctx, failure, said)
}

// objectEnv says where the objects of the push are. Not that git holds them for
// a hook: then it would refuse to read them for another purpose.
func (p *push) objectEnv() []string {
	env := []string{"GIT_NO_REPLACE_OBJECTS=1"}
	for _, e := range p.env() {
		if strings.HasPrefix(e, "GIT_OBJECT_DIRECTORY=") || strings.HasPrefix(e, "GIT_ALTERNATE_OBJECT_DIRECTORIES=") {
			env = append(env, e)
		}
	}
	return env
}

// settle says what became of a push that the upstream did not confirm.
func (p *push) settle(ctx context.Context, failure *upstream.Failure, said []string) verdict {
	if len(failure.Said) > 0 {
		said = failure.Said
	}
	text := cleanText(failure.Text, 400)
	v := verdict{kind: Failed, reason: text, lines: upstreamLines(said)}
	switch failure.Kind {
	case upstream.Atomic:
		v.kind, v.reason = Refused, "the upstream cannot take several refs at once or none: push one ref at a time"
		return v
	case upstream.Rejected:
		v.reason = "the upstream refused it: " + text
		return v
	case upstream.HostKey, upstream.Permission, upstream.Missing, upstream.Agent:
		return v // before anything was sent
	}
	// It may have been sent. What the upstream has now is what happened.
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	tips, err := p.s.mirror.refresh(ask)
	if err != nil {
		v.reason += "; whether it arrived is not known: fetch before you push again"
		return v
	}
	there := 0
	for _, u := range p.head.updates {
		if tips.Refs[u.Ref] == u.New {
			there++
		}
	}
	switch there {
	case len(p.head.updates):
		return verdict{kind: Accepted, lines: append(v.lines, "bb: the connection to the upstream broke, but the push is there")}
	case 0:
		v.reason += "; nothing of it is on the upstream"
	default:
		v.reason += "; a part of it is on the upstream: fetch before you push again"
	}
	return v
}

func upstreamLines(said []string) []string {
	var lines []string
	for _, l := range said {
		if len(lines) == maxSaidLines {
			break
		}
		if l = cleanText(strings.TrimSpace(l), 400); l != "" {
			lines = append(lines, "upstream: "+l)
		}
	}
	return lines
}
