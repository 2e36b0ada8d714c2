package smolvm

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// find returns the machine of an instance, nil when there is none. One that is
// not ours is an error: nothing is done to it, and nothing is told it.
func (d *Driver) find(ctx context.Context, id spec.ID) (*cli.Machine, error) {
	c, err := d.client(ctx)
	if err != nil {
		return nil, err
	}
	m, err := c.Status(ctx, id.Name())
	if cli.IsKind(err, cli.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	got, role, ok := spec.ParseIdentity(d.opts.Owner, m.Name, m.Labels)
	if !ok || got != id || role != spec.RoleAgent {
		return nil, foreign("machine", m.Name)
	}
	return &m, nil
}

// running returns a machine that runs and is safe to use, or says what to do.
func (d *Driver) running(ctx context.Context, id spec.ID) (*cli.Machine, error) {
	m, err := d.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, diag.Errorf("bottle %s does not exist", id).WithHint("'bb apply %s' brings it up", id.Agent)
	}
	if !d.ready(*m) {
		return nil, diag.Errorf("bottle %s is not running but %s", id, d.status(*m)).
			WithHint("'bb apply %s' brings it up", id.Agent)
	}
	return m, nil
}

// withMachine runs do while no other process of bb changes the machine.
func (d *Driver) withMachine(ctx context.Context, id spec.ID, do func(*cli.Client, *cli.Held) error) error {
	c, err := d.client(ctx)
	if err != nil {
		return err
	}
	held, err := c.Hold(ctx, id.Name())
	if err != nil {
		return err
	}
	return errors.Join(do(c, held), held.Release())
}

// A machine that was started is a bottle only once bb has looked at it from
// inside and placed its files. What is started by another hand, or was left by
// a bb that was killed, has another process than the mark names.
type mark struct {
	Machine string `json:"machine"`
	PID     int    `json:"pid"`
}

func (d *Driver) agentDir(id string) string { return d.path("agents", id) }

func (d *Driver) markFile(name string) string { return filepath.Join(d.agentDir(name), "ready.json") }

func (d *Driver) markReady(m cli.Machine) error {
	b, err := json.Marshal(mark{m.Labels[labelMachine], m.PID})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.agentDir(m.Name), 0o700); err != nil {
		return err
	}
	return replaceFile(d.markFile(m.Name), b, 0o600)
}

func (d *Driver) ready(m cli.Machine) bool {
	var have mark
	b, err := os.ReadFile(d.markFile(m.Name))
	return err == nil && json.Unmarshal(b, &have) == nil && m.State == cli.Running && m.PID != 0 &&
		have == mark{m.Labels[labelMachine], m.PID}
}

func (d *Driver) unmark(name string) error {
	if err := os.Remove(d.markFile(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// forget removes what is known of an instance's machine.
func (d *Driver) forget(id spec.ID) error { return os.RemoveAll(d.agentDir(id.Name())) }

// status is for people.
func (d *Driver) status(m cli.Machine) string {
	if m.State == cli.Running && !d.ready(m) {
		return "started, but not by a bb that finished"
	}
	return string(m.State)
}

// Stop ends the machine, then its sidecar; both are kept. Whatever state it is
// said to be in, a process may be left of one that ever began to start.
func (d *Driver) Stop(ctx context.Context, id spec.ID) error {
	if err := cli.CheckName(id.Name()); err != nil {
		return nil //nolint:nilerr // no machine ever had such a name
	}
	err := d.withMachine(ctx, id, func(_ *cli.Client, h *cli.Held) error {
		m, err := d.find(ctx, id)
		if err != nil || m == nil || m.State == cli.Created {
			return err
		}
		if err := d.unmark(m.Name); err != nil {
			return err
		}
		return h.Stop(ctx)
	})
	if err != nil {
		return err
	}
	return d.opts.Sidecars.Stop(ctx, id)
}

// RemoveAgent removes the machine if it is ours; gone is fine.
func (d *Driver) RemoveAgent(ctx context.Context, id spec.ID) error {
	if err := cli.CheckName(id.Name()); err != nil {
		return nil //nolint:nilerr // no machine ever had such a name
	}
	return d.withMachine(ctx, id, func(_ *cli.Client, h *cli.Held) error {
		m, err := d.find(ctx, id)
		if err != nil || m == nil {
			return err
		}
		if err := h.Delete(ctx); err != nil {
			return err
		}
		return d.forget(id)
	})
}

// replaceFile writes a file that appears whole or not at all.
func replaceFile(to string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// lastLines returns the end of what others wrote, fit to be shown.
func lastLines(text string, n int) string {
	lines := strings.Split(guest.Printable(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
