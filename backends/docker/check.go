package docker

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/bot-bottle/bb/engine/diag"
)

// checkTimeout bounds how long a missing engine can keep a command waiting.
const checkTimeout = 2 * time.Second

const howToGetAnEngine = "install one with 'apt-get install docker.io' and start it with " +
	"'systemctl start docker' or 'dockerd', or point DOCKER_HOST at one"

// Check reports what keeps bottles from running on the engine.
func (d *Driver) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	v, err := d.engine.ServerVersion(ctx)
	if err != nil {
		return d.noEngine(err)
	}
	if v.Os != "linux" {
		return diag.Errorf("docker: the engine at %s runs %s containers", d.engine.DaemonHost(), v.Os).
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
			d.opts.Binary, b.arch, d.engine.DaemonHost(), v.Arch).
			WithHint("pass a bb for linux/%s with --sidecar-binary", v.Arch)
	}
	return nil
}

func (d *Driver) noEngine(err error) error {
	host := d.engine.DaemonHost()
	text := strings.ToLower(err.Error())
	switch {
	case errors.Is(err, os.ErrPermission), strings.Contains(text, "permission denied"):
		return diag.Errorf("docker: no permission to use the engine at %s", host).
			WithHint("join the group docker ('usermod -aG docker $USER', then log in again), or run as root")
	case errors.Is(err, context.DeadlineExceeded):
		return diag.Errorf("docker: the engine at %s does not answer within %s", host, checkTimeout).
			WithHint("restart it, or point DOCKER_HOST at another")
	case errors.Is(err, context.Canceled):
		return err
	case engineGone(err):
		return diag.Errorf("docker: no engine answers at %s", host).WithHint(howToGetAnEngine)
	}
	return diag.Errorf("docker: %s: %s", host, tidy(err.Error())).WithHint(howToGetAnEngine)
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
