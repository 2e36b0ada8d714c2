// Package smolvm runs bottles as micro-VMs, through the command line of smolvm.
// A machine has no network interface: one unix socket of its sidecar, a process
// of this machine, is all that leads out of it.
package smolvm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Options configure a Driver.
type Options struct {
	// Dir is below the state directory: binaries, exported images, and what is
	// known of machines. It is absolute, and made when it is missing.
	Dir string
	// Owner marks what is ours.
	Owner string
	// Key digests what labels must not show.
	Key spec.Key
	// Version is bb's, for labels.
	Version string
	// Binary is the path of a static linux bb. What only looks at or removes
	// bottles works without one.
	Binary string
	// Images builds and pulls them; nil means that there is no engine here.
	Images Images
	// Sidecars are the host's.
	Sidecars Sidecars
	// Programs is the directory of the copies of bb that they run, each named as
	// the image of a sidecar; "" means that there are none.
	Programs string
	// Getenv reads the environment; nil means os.Getenv.
	Getenv func(string) string
	// Log gets one line for what takes long; nil means nowhere.
	Log io.Writer
}

// Driver implements backends.Driver.
type Driver struct {
	opts     Options
	patience time.Duration // see stepPatience
	binary   func() (binary, error)
	wanted   []*spec.Spec // see Want

	mu  sync.Mutex
	cli *cli.Client
}

var (
	_ backends.Driver      = (*Driver)(nil)
	_ backends.Preflighter = (*Driver)(nil)
	_ backends.Mounter     = (*Driver)(nil)
	_ backends.Wanter      = (*Driver)(nil)
)

// New returns a driver. It does not look for smolvm: Check does.
func New(o Options) (*Driver, error) {
	if !filepath.IsAbs(o.Dir) {
		return nil, fmt.Errorf("smolvm: %q is no absolute directory", o.Dir)
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	return &Driver{
		opts: o, patience: stepPatience,
		binary: sync.OnceValues(func() (binary, error) { return readBinary(o.Binary) }),
	}, nil
}

// Name is the backend's word in manifests.
func (d *Driver) Name() string { return "smolvm" }

// Capabilities are what this driver can do.
func (d *Driver) Capabilities() plan.Capabilities {
	return plan.Capabilities{Builds: d.opts.Images != nil}
}

// Check fails when there is no smolvm that bottles can run on.
func (d *Driver) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := d.client(ctx)
	return err
}

// CanMount is nil: machines are on this machine.
func (d *Driver) CanMount() error { return nil }

// Preflight says what smolvm does not take of an instance, and what this machine
// lacks for its sidecar.
func (d *Driver) Preflight(_ context.Context, s *spec.Spec) error {
	if err := cli.CheckName(s.ID.Name()); err != nil {
		return err
	}
	return d.opts.Sidecars.Check(s)
}

// client finds smolvm once.
func (d *Driver) client(ctx context.Context) (*cli.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cli != nil {
		return d.cli, nil
	}
	c, err := cli.Find(ctx, cli.Options{Getenv: d.opts.Getenv, Locks: d.path("locks")})
	if err == nil {
		d.cli = c
	}
	return c, err
}

// path is below the driver's directory.
func (d *Driver) path(names ...string) string {
	return filepath.Join(append([]string{d.opts.Dir}, names...)...)
}

// Labels of this driver alone.
const (
	// labelMachine is random: a name and a second are not enough to tell a
	// machine from the one that had its name before.
	labelMachine = "bb.machine"
	// labelPull is "1" on a machine whose image smolvm pulls.
	labelPull = "bb.pull"
	// labelBinary names the bb that is mounted in it.
	labelBinary = "bb.binary"
	// labelArchive names the exported image that it was made of.
	labelArchive = "bb.archive"
)

// confinement identifies what every agent is confined by: what Create is told
// whatever the manifest says.
func confinement() string {
	sum := sha256.Sum256([]byte("1 no network; one socket; bin read-only; boot as root, then " + agentUser))
	return hex.EncodeToString(sum[:6])
}

// foreign is the error for a name that another's machine has.
func foreign(kind, name string) error {
	return diag.Errorf("%s %s exists and is not bb's", kind, name).
		WithHint("rename or remove it; bb never touches it")
}

func logf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
