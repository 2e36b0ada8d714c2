package docker

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
)

// Check reports what keeps bottles from running on the engine.
func (d *Driver) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.at.patience())
	defer cancel()
	v, err := d.engine.ServerVersion(ctx)
	if err != nil {
		return d.noEngine(err)
	}
	d.warnExposed()
	if v.Os != "linux" {
		return diag.Errorf("docker: the engine at %s runs %s containers", d.at, v.Os).
			WithHint("bottles need linux containers: switch the engine, or point DOCKER_HOST at another")
	}
	if d.opts.Binary == "" {
		return nil // Prepare says so if it comes to that
	}
	b, err := d.binaryID()
	if err != nil {
		return err
	}
	if b.arch != v.Arch {
		return diag.Errorf("docker: %s is for %s, the engine at %s runs %s",
			d.opts.Binary, b.arch, d.at, v.Arch).
			WithHint("pass a bb for linux/%s with --sidecar-binary", v.Arch)
	}
	return nil
}

// warnExposed says once what is wrong with the way to the engine.
func (d *Driver) warnExposed() {
	if why := d.at.exposed(); why != "" {
		d.warned.Do(func() { logf(d.opts.Log, "bb: warning: the engine at %s %s", d.at, why) })
	}
}

func (d *Driver) noEngine(err error) error {
	text := strings.ToLower(err.Error())
	var known diag.Diagnostic
	switch why := d.dial.failure(); {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &known):
		return known
	case why != nil:
		return why
	case d.local() && (errors.Is(err, os.ErrPermission) || strings.Contains(text, "permission denied")):
		return diag.Errorf("docker: no permission to use the engine at %s", d.at).
			WithHint("join the group docker ('usermod -aG docker $USER', then log in again), or run as root")
	case errors.Is(err, context.DeadlineExceeded):
		return d.at.silent()
	case engineGone(err):
		return diag.Errorf("docker: no engine answers at %s", d.at).WithHint("%s", d.howToGetOne())
	}
	return diag.Errorf("docker: %s: %s", d.at, tidy(err.Error())).WithHint("%s", d.howToGetOne())
}

func (d *Driver) howToGetOne() string {
	if !d.local() {
		return "start it, check the address, or point DOCKER_HOST at another"
	}
	if other := otherSockets(os.Getenv); d.at.from == "default" && len(other) > 0 {
		return "another one may listen: DOCKER_HOST=unix://" + other[0]
	}
	return "install one with 'apt-get install docker.io' and start it with " +
		"'systemctl start docker' or 'dockerd', or point DOCKER_HOST at one"
}

// engineFacts are what bb must know of the engine to make a container.
type engineFacts struct {
	cpus     float64
	runtimes map[string]bool
}

// about asks the engine once.
func (d *Driver) about(ctx context.Context) (engineFacts, error) {
	d.once.Lock()
	defer d.once.Unlock()
	if d.facts != nil {
		return *d.facts, nil
	}
	info, err := d.engine.Info(ctx)
	if err != nil {
		return engineFacts{}, d.wrap(err, "ask the engine about itself")
	}
	f := engineFacts{cpus: float64(info.NCPU), runtimes: map[string]bool{}}
	for name := range info.Runtimes {
		f.runtimes[name] = true
	}
	d.facts = &f
	return f, nil
}
