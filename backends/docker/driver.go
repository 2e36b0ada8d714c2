// Package docker runs bottles on a Docker engine. Everything goes through the
// engine's API, so that a remote engine works like a local one; this is the
// only package that imports its client.
package docker

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// DefaultBaseImage is what bb's own images are built from.
const DefaultBaseImage = "debian:bookworm-slim"

// Options configure a Driver.
type Options struct {
	// Host is the engine's address; empty means as the docker command finds it.
	Host string
	// Owner marks what is ours.
	Owner string
	// Key digests what labels must not show.
	Key spec.Key
	// Version is bb's, for labels.
	Version string
	// Binary is the path of a static linux bb. What only looks at or removes
	// bottles works without one.
	Binary string
	// Pipelock is the path of the pipelock that goes into sidecars that want it;
	// "" means that of PATH.
	Pipelock string
	// BaseImage defaults to DefaultBaseImage.
	BaseImage string
	// BuildCA is PEM: roots that image builds trust besides their own.
	BuildCA []byte
	// Private is a directory that is never sent to the engine as part of a
	// build context: bb's own state, with the key of its digests.
	Private string
	// Log gets one line for what takes long; nil means nowhere.
	Log io.Writer
	// Output gets all that builds print; nil means nowhere. A build that fails
	// shows its last lines in its error anyhow.
	Output io.Writer
}

// Driver implements backends.Driver.
type Driver struct {
	opts    Options
	engine  engineAPI
	at      address
	dial    *dialer
	profile string

	patience time.Duration // see agentPatience
	builds   keyedLock     // one build of an image at a time
	checked  sync.Map      // image id -> its user is as a bottle needs it
	once     sync.Mutex
	warned   sync.Once    // of an address that is exposed
	facts    *engineFacts // nil until asked
	binaryID func() (binary, error)
	pipelock func() (program, error)
}

var _ backends.Driver = (*Driver)(nil)

// New returns a driver. It does not reach for the engine: Check does.
func New(o Options) (*Driver, error) {
	if o.BaseImage == "" {
		o.BaseImage = DefaultBaseImage
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Output == nil {
		o.Output = io.Discard
	}
	at, err := locate(o.Host, os.Getenv)
	if err != nil {
		return nil, err
	}
	c, dial, err := connect(at)
	if err != nil {
		return nil, err
	}
	return &Driver{
		opts: o, engine: c, at: at, dial: dial, profile: seccompProfile(), patience: agentPatience,
		binaryID: sync.OnceValues(func() (binary, error) { return readBinary(o.Binary) }),
		pipelock: pipelockOnce(o.Pipelock),
	}, nil
}

// Name is the backend's word in manifests.
func (d *Driver) Name() string { return "docker" }

// Capabilities are what this driver can do.
func (d *Driver) Capabilities() plan.Capabilities { return plan.Capabilities{Builds: true} }

// local reports whether the engine is on this machine, so that a path means
// the same to both.
func (d *Driver) local() bool { return d.at.local() }

// identity are the labels of one resource of an instance.
func (d *Driver) identity(id spec.ID, role string) map[string]string {
	return spec.IdentityLabels(d.opts.Owner, d.opts.Version, id, role)
}

// shared are the labels of what all instances use.
func (d *Driver) shared(role string) map[string]string {
	return map[string]string{
		spec.LabelManaged: "1", spec.LabelOwner: d.opts.Owner,
		spec.LabelVersion: d.opts.Version, spec.LabelRole: role,
	}
}

// isShared reports whether labels are those of what instances share. Whose it
// is, another question: bb's of another owner is as good where it is only used.
func isShared(labels map[string]string, role string) bool {
	return labels[spec.LabelManaged] == "1" && labels[spec.LabelRole] == role
}

// foreign is the error for a name that another's resource has taken.
func foreign(kind, name string) error {
	return diag.Errorf("%s %s exists and is not bb's", kind, name).
		WithHint("rename or remove it; bb never touches it")
}

func trimName(name string) string { return strings.TrimPrefix(name, "/") }

func logf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
