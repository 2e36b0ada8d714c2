package smolvm

import (
	"context"
	"encoding/json"
	"io"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Sidecars are processes of this machine, one for each instance, each confined
// to a directory of its own.
type Sidecars interface {
	// List returns those of this owner, with what is left of ended ones: a part
	// that is nil stands for a directory alone.
	List(ctx context.Context) ([]Sidecar, error)
	// Image names what sidecars should be made of, for comparison; "" means
	// that it is not known.
	Image() string
	// Check says what this machine lacks for the sidecar of s.
	Check(s *spec.Spec) error
	// Ensure starts the sidecar of s unless the one that fits runs. One that
	// does not fit is replaced; its authority stays.
	Ensure(ctx context.Context, s *spec.Spec) error
	// Start starts the one that exists.
	Start(ctx context.Context, id spec.ID) error
	// Stop ends it, and Start starts it again.
	Stop(ctx context.Context, id spec.ID) error
	// Remove ends it; RemoveState removes what is left of it. Gone is success.
	Remove(ctx context.Context, id spec.ID) error
	RemoveState(ctx context.Context, id spec.ID) error
	// Orphans are sidecars, and what is left of some, that say of no instance
	// whose they are. RemoveOrphan ends and removes one that still is.
	Orphans(ctx context.Context) ([]backends.Orphan, error)
	RemoveOrphan(ctx context.Context, o backends.Orphan) error
	// Door is the socket that is lent to the machine.
	Door(id spec.ID) string

	// Control sends a command with its document, and returns the reply line.
	Control(ctx context.Context, id spec.ID, verb string, document []byte) ([]byte, error)
	ControlStream(ctx context.Context, id spec.ID, verb string, stdin io.Reader, stdout io.Writer) error
	AccessLog(ctx context.Context, id spec.ID, r egress.LogRequest, w io.Writer) error
	Logs(ctx context.Context, id spec.ID, r backends.LogRequest, w io.Writer) error
}

// Sidecar is one of them.
type Sidecar struct {
	ID        spec.ID
	Part      *plan.Part
	State     *egress.StateLine // nil unless it runs and spoke
	Leftovers []string
}

// CreateSidecar creates and starts the sidecar: it passes nothing yet.
func (d *Driver) CreateSidecar(ctx context.Context, s *spec.Spec) error {
	return d.opts.Sidecars.Ensure(ctx, s)
}

// StartSidecar starts one that exists.
func (d *Driver) StartSidecar(ctx context.Context, s *spec.Spec) error {
	return d.opts.Sidecars.Start(ctx, s.ID)
}

// RemoveSidecar ends the sidecar; its authority stays.
func (d *Driver) RemoveSidecar(ctx context.Context, id spec.ID) error {
	return d.opts.Sidecars.Remove(ctx, id)
}

// RemoveVolumes removes what is left of an instance.
func (d *Driver) RemoveVolumes(ctx context.Context, id spec.ID) error {
	if err := d.forget(id); err != nil {
		return err
	}
	return d.opts.Sidecars.RemoveState(ctx, id)
}

// Configure pushes the whole live half. The document holds token values: it is
// never part of an error or a log.
func (d *Driver) Configure(ctx context.Context, s *spec.Spec, secrets spec.Secrets, parts []string) error {
	document, err := json.Marshal(s.Document(secrets, parts))
	if err != nil {
		return diag.Errorf("control document of %s cannot be encoded", s.ID)
	}
	_, err = d.opts.Sidecars.Control(ctx, s.ID, "apply", document)
	return err
}

// Control sends one command to the sidecar's control socket.
func (d *Driver) Control(ctx context.Context, id spec.ID, command string) ([]byte, error) {
	return d.opts.Sidecars.Control(ctx, id, command, nil)
}

// ControlStream carries a conversation with the sidecar's control socket.
func (d *Driver) ControlStream(ctx context.Context, id spec.ID, verb string, stdin io.Reader, stdout io.Writer) error {
	return d.opts.Sidecars.ControlStream(ctx, id, verb, stdin, stdout)
}

// AccessLog copies one of the sidecar's logs to w.
func (d *Driver) AccessLog(ctx context.Context, id spec.ID, r egress.LogRequest, w io.Writer) error {
	return d.opts.Sidecars.AccessLog(ctx, id, r, w)
}

// sidecar is the one of an instance, which must run and enforce a policy.
func (d *Driver) configured(ctx context.Context, id spec.ID) error {
	all, err := d.opts.Sidecars.List(ctx)
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.ID == id && x.Part != nil && x.Part.Running && x.State != nil && x.State.State == egress.StateConfigured {
			return nil
		}
	}
	return diag.Errorf("the sidecar of %s is not configured", id).WithHint("'bb apply' configures it first")
}
