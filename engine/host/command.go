package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/engine/diag"
)

// commandTime bounds a command.
const commandTime = 10 * time.Second

// byHand is the next step for a command that failed: bb shows nothing that it
// wrote, for it may be the token.
const byHand = "run it by hand in your home directory to see why; bb shows nothing of what it writes"

// Command runs a program in the user's home directory and returns what it
// wrote to standard output, without one line feed at the end. It gets the
// user's environment without bb's own variables, no input and no terminal.
// Whatever it started in its session is killed when it ends or is over time.
func Command(ctx context.Context, argv []string) (string, error) {
	return command(ctx, argv, commandTime)
}

func command(ctx context.Context, argv []string, limit time.Duration) (string, error) {
	program, err := Program(argv)
	if err != nil {
		return "", err
	}
	home, err := Expand("~/")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := &bounded{full: cancel}
	cmd := exec.CommandContext(ctx, program)
	cmd.Args, cmd.Dir, cmd.Env, cmd.Stdout = argv, home, environment(home), out
	// Without a terminal nothing of it can be printed or asked there, and its
	// process group has a name of its own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = limit / 20 // for those that keep the pipe open
	err = cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of it
	}
	return judge(ctx, out, err, limit)
}

// judge words how a command ended.
func judge(ctx context.Context, out *bounded, err error, limit time.Duration) (string, error) {
	var exit *exec.ExitError
	switch {
	case out.tooMuch:
		return "", diag.Errorf("it wrote more than %d KiB", maxToken>>10).WithHint("it must write the token alone")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", diag.Errorf("it took longer than %s", limit).WithHint("%s; it cannot ask for anything", byHand)
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, exec.ErrWaitDelay):
		return "", diag.Errorf("it ended, but something that it started keeps its output open").WithHint("%s", byHand)
	case errors.As(err, &exit) && exit.Exited():
		return "", diag.Errorf("it exited with code %d", exit.ExitCode()).WithHint("%s", byHand)
	case errors.As(err, &exit):
		return "", diag.Errorf("it was ended by a signal").WithHint("%s", byHand)
	case err != nil:
		return "", diag.Errorf("it cannot be started: %v", diag.Cause(err)).WithHint("%s", byHand)
	}
	return strings.TrimSuffix(string(out.data), "\n"), nil
}

// Program finds what a command would run: an absolute path, or a name in those
// entries of PATH that are absolute. It runs nothing.
func Program(argv []string) (string, error) {
	if len(argv) == 0 || argv[0] == "" {
		return "", diag.Errorf("there is no command")
	}
	name := argv[0]
	if filepath.IsAbs(name) {
		if err := executable(name); err != nil {
			return "", diag.Errorf("%s: %v", name, err).WithHint("name a program of this machine")
		}
		return name, nil
	}
	if strings.Contains(name, "/") {
		return "", diag.Errorf("%s is a relative path", name).WithHint("write an absolute path")
	}
	for _, dir := range absolute(os.Getenv("PATH")) {
		if path := filepath.Join(dir, name); executable(path) == nil {
			return path, nil
		}
	}
	return "", diag.Errorf("%s is in no directory of PATH", name).
		WithHint("install it, or write its absolute path; relative entries of PATH do not count")
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return diag.Cause(err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fs.ErrPermission
	}
	return nil
}

func absolute(path string) []string {
	return slices.DeleteFunc(filepath.SplitList(path), func(dir string) bool { return !filepath.IsAbs(dir) })
}

// environment is the user's own, without bb's variables and without relative
// entries of PATH: what the command starts is looked up there too.
func environment(home string) []string {
	env := slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "BB_") || strings.HasPrefix(e, "PATH=") || strings.HasPrefix(e, "PWD=")
	})
	path := strings.Join(absolute(os.Getenv("PATH")), string(filepath.ListSeparator))
	return append(env, "PATH="+path, "PWD="+home)
}

// bounded keeps what a token may be long and calls full for more.
type bounded struct {
	data    []byte
	tooMuch bool
	full    func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > maxToken {
		b.tooMuch = true
		b.full()
		return 0, errors.New("too much")
	}
	b.data = append(b.data, p...)
	return len(p), nil
}
