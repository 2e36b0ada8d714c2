package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
)

type commitCmd struct {
	Agent string `arg:"" help:"The bottle, as bb ps names it."`
	Name  string `arg:"" optional:"" help:"The image (localhost/AGENT:TIME)."`
}

// Help is shown by bb commit --help.
func (*commitCmd) Help() string {
	return `The image has what is on the bottle's disk, also what an agent put there, and
none of bb's labels or the bottle's environment. A mounted workspace is not in it.`
}

// Run freezes a bottle into an image.
func (c *commitCmd) Run(ctx context.Context, a *app) error {
	p, o, err := a.instance(ctx, c.Agent)
	if err != nil {
		return err
	}
	d, ok := p.drivers[o.Backend].(backends.Freezer)
	if !ok {
		return diag.Errorf("%s cannot make an image of a bottle", o.Backend).
			WithHint("bb cp %s:~/. DIR carries its files out", o.ID)
	}
	name := c.Name
	if name == "" { // localhost: no engine asks a stranger for it when it is gone
		name = fmt.Sprintf("localhost/%s:%s", o.ID.Agent, time.Now().Format("20060102-150405"))
	}
	ctx, release := a.untilSignal(ctx)
	defer release()
	if _, err := d.Freeze(ctx, o.ID, name); err != nil {
		return contextErr(ctx, err)
	}
	fmt.Fprintf(a.stdout, "%s is the image %s. A bottle is made of it with\nagent_provider: {image: %q}\n", o.ID, name, name)
	return nil
}
