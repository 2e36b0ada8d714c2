package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/distribution/reference"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/lock"
	"github.com/bot-bottle/bb/engine/spec"
)

type commitCmd struct {
	Agent       string        `arg:"" help:"The bottle, as bb ps names it."`
	Name        string        `arg:"" optional:"" help:"The image (localhost/AGENT:TIME)."`
	LockTimeout time.Duration `help:"Wait this long for another bb." default:"0s"`
}

// Help is shown by bb commit --help.
func (*commitCmd) Help() string {
	return `The image has what is on the bottle's disk: the agent's files, its program's
settings and conversations, and logins that somebody made inside. Look before you
give it away. A mounted workspace is not in it.

A bottle made of it finds nothing of the old one's prompt, skills, git identity,
remotes or lent login, and the image has none of bb's labels and no value of the
bottle's environment. Lower layers of the image still hold those files.`
}

// Run freezes a bottle into an image.
func (c *commitCmd) Run(ctx context.Context, a *app) error {
	if err := checkImageName(c.Name); err != nil {
		return err
	}
	p, o, err := a.instance(ctx, c.Agent)
	if err != nil {
		return err
	}
	d, ok := p.drivers[o.Backend].(backends.Freezer)
	if !ok {
		return diag.Errorf("%s cannot make an image of a bottle", o.Backend).
			WithHint("bb cp %s:~/. DIR carries its files out into a directory that exists", o.ID)
	}
	name := c.Name
	if name == "" { // localhost: no engine asks a stranger for it when it is gone
		name = fmt.Sprintf("localhost/%s:%s", o.ID.Agent, time.Now().Format("20060102-150405"))
	}
	ctx, release := a.untilSignal(ctx)
	defer release()
	if err := p.freeze(ctx, d, o.ID, name, c.LockTimeout); err != nil {
		return contextErr(ctx, err)
	}
	fmt.Fprintf(a.stdout, "%s is the image %s. A bottle is made of it with\nagent_provider: {image: %q}\n", o.ID, name, name)
	fmt.Fprintf(a.stderr, "in it: the agent's files, its program's settings and conversations, and logins that somebody made inside; "+
		"not in a bottle made of it: prompt, skills, git identity, remotes and lent login of %s (bb commit --help)\n", o.ID)
	return nil
}

// freeze makes the image while no other bb changes the bottle.
func (p *planning) freeze(ctx context.Context, d backends.Freezer, id spec.ID, name string, wait time.Duration) (err error) {
	held, busy := lock.Acquire(ctx, p.state.Dir, id.Scope, "commit", wait, func(h lock.Holder) {
		fmt.Fprintf(p.app.stderr, "waiting for another bb: %s (pid %d)\n", h.Operation, h.PID)
	})
	if busy != nil {
		return busy
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	_, err = d.Freeze(ctx, id, name)
	return err
}

// checkImageName takes what an engine takes for an image of one's own.
func checkImageName(name string) error {
	if name == "" {
		return nil
	}
	wrong := func(why string) error {
		return diag.Errorf("%s is no name for an image: %s", view.Escape(name), why).
			WithHint("such as localhost/dev:before-the-change")
	}
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return wrong(view.Escape(err.Error()))
	}
	if _, digested := ref.(reference.Digested); digested {
		return wrong("a digest is what an image has, not what it is called")
	}
	return nil
}
