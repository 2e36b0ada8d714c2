package door

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Exit codes of a command that could not be started, as shells have them.
const (
	codeCannotRun = 126
	codeNotFound  = 127
)

// ExecError says why a command could not be started, and the exit code for it.
type ExecError struct {
	Code int
	Err  error
}

func (e *ExecError) Error() string { return e.Err.Error() }

func (e *ExecError) Unwrap() error { return e.Err }

// Exec becomes the command args, with the bottle's environment file merged over
// the process's own. It returns, with an *ExecError, only on failure.
func Exec(args []string) error {
	return execWith(DefaultEnvFile, args, os.Environ(), syscall.Exec)
}

func execWith(envFile string, args, environ []string, exec func(string, []string, []string) error) error {
	if len(args) == 0 || args[0] == "" {
		return &ExecError{codeNotFound, errors.New("no command given")}
	}
	records, err := loadEnv(envFile)
	if err != nil {
		return &ExecError{codeCannotRun, fmt.Errorf("environment of the bottle: %w", err)}
	}
	env := mergeEnv(environ, records)
	path, err := findProgram(args[0], lookupEnv(env, "PATH"))
	if err == nil {
		if err = exec(path, args, env); errors.Is(err, fs.ErrNotExist) {
			// The file was there a moment ago: what is missing is what runs it.
			err = errors.New("its interpreter or loader does not exist")
		}
	}
	return startError(args[0], err)
}

// startError keeps not found apart from not runnable.
func startError(command string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return &ExecError{codeNotFound, fmt.Errorf("%s: command not found", command)}
	case errors.Is(err, syscall.E2BIG):
		return &ExecError{codeCannotRun, fmt.Errorf("%s: arguments and environment are too long", command)}
	default:
		var errno syscall.Errno
		if errors.As(err, &errno) {
			err = errno
		}
		return &ExecError{codeCannotRun, fmt.Errorf("%s: cannot run: %w", command, err)}
	}
}

// findProgram looks a command up as a shell does, except that an empty or
// relative entry of PATH is passed over: the working directory is the
// workspace, and what lies in it must be named by its path to be run.
func findProgram(command, path string) (string, error) {
	if strings.Contains(command, "/") {
		return command, runnable(command)
	}
	err := fs.ErrNotExist
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		candidate := filepath.Join(dir, command)
		switch e := runnable(candidate); {
		case e == nil:
			return candidate, nil
		case errors.Is(e, syscall.EACCES):
			err = e // found, though not runnable; a later entry may do
		}
	}
	return "", err
}

func runnable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return syscall.EISDIR
	case info.Mode()&0o111 == 0:
		return syscall.EACCES
	}
	return nil
}
