// Package child runs programs for the sidecar: with no environment but what is
// given, under limits, in a process group of their own that ends as a whole,
// and not longer than the process that started them.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Options say what to run and how.
type Options struct {
	// Path is the program, absolute: see Find.
	Path string
	// Args come after the name that the program is called by: Name, or else Path.
	Args []string
	Name string
	Dir  string // "" is the root directory
	// Env is the whole environment, "KEY=VALUE".
	Env []string
	// Stdin is empty when nil, and what is written to a nil Stdout or Stderr is
	// lost. The same value for both makes them one stream. A Stdin that blocks
	// may still be read after Run, once.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Files become the descriptors 3 and on. The caller closes its own.
	Files []*os.File
	// Limits are in force before the program's first instruction where the
	// system lets bb trace its own children, and within microseconds elsewhere.
	Limits Limits
	// Grace is how long the group may take after SIGTERM when the context ends
	// before it is killed, and how long streams are waited for after the end of
	// the program; zero means a second.
	Grace time.Duration
}

// Limits bound a program and what it starts, each process by itself. Zero
// leaves a limit as it is, but that no core file is ever written: it would hold
// what went through the program.
type Limits struct {
	AddressSpace uint64 // bytes; a Go program reserves much more than it uses
	Data         uint64 // bytes of private writable memory
	CPU          uint64 // seconds
	FileSize     uint64 // bytes
	NoFiles      bool   // not a byte into any file, whatever FileSize says
	Descriptors  uint64
}

// ExitError is how a program failed. Who starts programs only through this room
// does not need another.
type ExitError = exec.ExitError

// ErrWaitDelay says of a program that succeeded that its streams were not done
// within the grace: what it left unread, or a reader that blocks.
var ErrWaitDelay = exec.ErrWaitDelay

// dirs are where programs are looked for, whatever PATH says.
var dirs = []string{"/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin", "/usr/sbin", "/sbin"}

// Path is what a program that starts others may have as its PATH.
const Path = "/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin:/usr/sbin:/sbin"

// Find returns the absolute path of a program in the system's directories.
func Find(name string) (string, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no program %s on this system", name)
}

// Run runs a program until it ends, or ctx does. Then its whole process group
// is killed. The error is an *ExitError when the program failed. The
// system ends it when the thread that started it ends, and so with this process
// however that dies: therefore the thread waits with it.
func Run(ctx context.Context, o Options) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	seal()
	fed, err := feed(&o)
	if err != nil {
		return fmt.Errorf("it cannot be started: %w", err)
	}
	cmd, held, err := start(ctx, o)
	if err != nil {
		_ = fed(0)
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return fmt.Errorf("it cannot be started: %w", err)
	}
	limits := restrict(cmd.Process.Pid, o.Limits)
	if limits != nil {
		_ = cmd.Process.Kill()
	}
	if held {
		release(cmd.Process.Pid)
	}
	await(cmd.Process.Pid)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left, while nobody else can have its number
	err = cmd.Wait()
	if late := fed(cmd.WaitDelay); err == nil {
		err = late
	}
	if limits != nil && !errors.Is(limits, syscall.ESRCH) {
		return fmt.Errorf("it cannot be limited: %w", limits)
	}
	return err
}

// start starts the program, held before its first instruction if the system
// allows that.
func start(ctx context.Context, o Options) (cmd *exec.Cmd, held bool, err error) {
	for _, held = range []bool{canHold, false} {
		cmd = command(ctx, o, held)
		err = expendably(cmd.Start)
		// A system may forbid the one (EPERM) or not know it (ENOSYS).
		if !held || !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSYS) {
			break
		}
	}
	if err == nil && held {
		held = hold(cmd.Process.Pid)
	}
	return cmd, held, err
}

func command(ctx context.Context, o Options, held bool) *exec.Cmd {
	cmd := exec.CommandContext(ctx, o.Path, o.Args...)
	if o.Name != "" {
		cmd.Args[0] = o.Name
	}
	cmd.Dir, cmd.Env = o.Dir, append([]string{}, o.Env...) // never nil: that would inherit
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = o.Stdin, o.Stdout, o.Stderr, o.Files
	cmd.SysProcAttr = attributes(held)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = o.Grace
	if cmd.WaitDelay <= 0 {
		cmd.WaitDelay = time.Second
	}
	return cmd
}
