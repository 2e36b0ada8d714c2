package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/bot-bottle/bb/engine/diag"
)

// List returns all machines of smolvm's data directory, sorted by name. An
// output that is not whole is asked for once more.
func (c *Client) List(ctx context.Context) ([]Machine, error) {
	return read(ctx, c, call{op: "machine ls", args: []string{"machine", "ls", "--json"}, limit: listLimit}, ParseList)
}

// Status returns one machine; an *Error of kind NotFound when there is none.
func (c *Client) Status(ctx context.Context, name string) (Machine, error) {
	if err := CheckName(name); err != nil {
		return Machine{}, err
	}
	m, err := read(ctx, c, call{op: "machine status", machine: name, args: machineArgs("status", name, "--json"), limit: listLimit}, ParseMachine)
	if err == nil && m.Name != name {
		return Machine{}, fmt.Errorf("smolvm machine status of %s tells about %q", name, clip(m.Name, 140))
	}
	return m, err
}

// Dir returns the directory that smolvm keeps a machine in.
func (c *Client) Dir(ctx context.Context, name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	out, err := c.run(ctx, call{op: "machine data-dir", machine: name, args: machineArgs("data-dir", name), limit: quickLimit, idempotent: true})
	dir := strings.TrimSpace(string(out))
	if err == nil && !filepath.IsAbs(dir) {
		err = &Error{Kind: Other, Op: "machine data-dir", Machine: name, Message: "no directory in its answer"}
	}
	return dir, err
}

func read[T any](ctx context.Context, c *Client, k call, parse func([]byte) (T, error)) (T, error) {
	k.idempotent = true
	var v T
	for try := 0; ; try++ {
		out, err := c.run(ctx, k)
		if err != nil {
			return v, err
		}
		v, err = parse(out)
		if err == nil || ctx.Err() != nil {
			return v, err
		}
		if try > 0 || !errors.Is(err, errCut) {
			kind := Other
			if errors.Is(err, errCut) {
				kind = Truncated
			}
			return v, &Error{Kind: kind, Op: k.op, Machine: k.machine, Message: "cannot read its answer: " + err.Error()}
		}
	}
}

// IsKind reports whether err is a failure of smolvm of this kind.
func IsKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// Create creates the machine without starting it. The name in s must be the
// held one. One that is there already is an *Error of kind Exists.
func (h *Held) Create(ctx context.Context, s Spec) error {
	if s.Name != h.name {
		return fmt.Errorf("machine %s is held, not %s", h.name, s.Name)
	}
	args, err := s.args()
	if err != nil {
		return err
	}
	k := call{op: "machine create", machine: h.name, args: args, limit: createLimit}
	if s.Pull {
		if err := h.c.CanPull(); err != nil {
			return err
		}
		k.env = h.c.proxies // it looks for the registry
	}
	_, err = h.c.run(ctx, k)
	return err
}

// CanPull says why a machine cannot pull its image, or nil. Without a device of
// its own for the network, what listens in a machine listens on this one, and the
// machine's loopback is this one's.
func (c *Client) CanPull() error {
	if c.Features.Has("--net-backend") {
		return nil
	}
	return diag.Errorf("smolvm %s gives a machine no network device of its own, and bb lets none pull an image without", c.Version).
		WithHint("install a newer smolvm, start a docker engine, or let agent_provider.image name an archive of 'docker save'")
}

// Start boots the machine, or repairs an unreachable one; one that runs stays.
// first says that it never ran: then its image may have to be unpacked. After a
// Timeout the machine may still come up: Stop it.
func (h *Held) Start(ctx context.Context, first bool) error {
	limit := h.c.StartLimits.Later
	if first {
		limit = h.c.StartLimits.First
	}
	_, err := h.change(ctx, "start", limit)
	return err
}

// Pull boots a machine that never ran, so that it pulls its image, through the
// proxies of this process.
func (h *Held) Pull(ctx context.Context) error {
	_, err := h.c.run(ctx, call{
		op: "machine start", machine: h.name, args: machineArgs("start", h.name),
		limit: h.c.StartLimits.First, idempotent: true, env: h.c.proxies,
	})
	return err
}

// Stop ends the machine; one that does not run is success.
func (h *Held) Stop(ctx context.Context) error {
	_, err := h.change(ctx, "stop", stopLimit)
	return err
}

// Delete removes the machine and its disks; one that is gone is success.
func (h *Held) Delete(ctx context.Context) error {
	if _, err := h.change(ctx, "delete", stopLimit, "--force"); err != nil && !IsKind(err, NotFound) {
		return err
	}
	// Without its flag a delete ends with 0 and leaves the machine: look.
	switch m, err := h.c.Status(ctx, h.name); {
	case IsKind(err, NotFound):
		return nil
	case err != nil:
		return err
	default:
		return &Error{Kind: Other, Op: "machine delete", Machine: h.name, Message: fmt.Sprintf("it is still there (%s)", clip(string(m.State), 40))}
	}
}

// CloseNetwork takes the network from a machine that is stopped, for good, and
// looks whether it is gone.
func (h *Held) CloseNetwork(ctx context.Context) error {
	if _, err := h.change(ctx, "update", quickLimit, "--no-net"); err != nil {
		return err
	}
	m, err := h.c.Status(ctx, h.name)
	if err == nil && (m.Network == nil || *m.Network) {
		err = &Error{Kind: Other, Op: "machine update", Machine: h.name, Message: "it still has a network"}
	}
	return err
}

// change makes a call that leads to the same end when it is made twice.
func (h *Held) change(ctx context.Context, verb string, limit time.Duration, flags ...string) ([]byte, error) {
	return h.c.run(ctx, call{
		op: "machine " + verb, machine: h.name, args: machineArgs(verb, h.name, flags...),
		limit: limit, idempotent: true,
	})
}
