package smolvm

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// smolvm does not tell what runs in a machine, and the machine's own word is
// the agent's. So each command is a lock that its bb holds, and that the kernel
// gives back when it dies; with it the command ends too.

func (d *Driver) sessionsDir(id spec.ID) string {
	return filepath.Join(d.agentDir(id.Name()), "sessions")
}

// enter counts a command until leave is called or this process ends.
func (d *Driver) enter(id spec.ID) (leave func(), err error) {
	dir := d.sessionsDir(id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, rand.Text())
	f, err := os.OpenFile(name+".new", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	// Locked before it has the name by which it is found.
	if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return func() {
		_ = os.Remove(name) // the lock ends with the file anyhow
		_ = f.Close()
	}, nil
}

// Sessions counts the commands that run in the machine.
func (d *Driver) Sessions(ctx context.Context, id spec.ID) (int, error) {
	m, err := d.find(ctx, id)
	if err != nil || m == nil || m.State != cli.Running {
		return 0, err
	}
	names, err := filepath.Glob(filepath.Join(d.sessionsDir(id), "*"))
	if err != nil {
		return 0, err
	}
	n := 0
	for _, name := range names {
		if filepath.Ext(name) == ".new" {
			continue
		}
		if held(name) {
			n++
		}
	}
	return n, nil
}

// held reports whether somebody holds a lock; one of the dead is removed.
func held(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil {
		return true
	}
	_ = os.Remove(name)
	return false
}

// fixedOf is what a machine was made as: its labels keep it.
func fixedOf(m cli.Machine) (f spec.Fixed, err error) {
	if json.Unmarshal([]byte(m.Labels[spec.LabelSpecJSON]), &f) != nil {
		return f, diag.Errorf("the labels of machine %s are not bb's", m.Name).WithHint("'bb apply' replaces it")
	}
	return f, nil
}

// processes is what the agent's user may have at a time in a machine. Its kernel
// counts for this machine alone; programs inherit the limit from their session,
// and none is ever started but by one.
func processes(f spec.Fixed) uint64 { return uint64(max(0, f.Resources.PIDs)) }
