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

// Program is a command as it is started: its file, arguments and environment.
type Program struct {
	Path      string
	Argv, Env []string
}

// Find looks the command argv up, with the bottle's environment files merged
// over environ; bare leaves out the one that the agent may write to, and keeps
// the PATH of environ. Its errors are *ExecError.
func Find(argv, environ []string, bare bool) (*Program, error) {
	fixed, err := loadEnv(FixedEnvFile)
	if err != nil {
		return nil, &ExecError{codeCannotRun, fmt.Errorf("environment of the bottle: %w", err)}
	}
	merged := mergeEnv(environ, fixed)
	if !bare {
		return find(DefaultEnvFile, argv, merged)
	}
	if path := lookupEnv(environ, "PATH"); path != "" {
		merged = SetEnv(merged, "PATH", path)
	}
	return find("", argv, merged)
}

func find(envFile string, argv, environ []string) (*Program, error) {
	if len(argv) == 0 || argv[0] == "" {
		return nil, &ExecError{codeNotFound, errors.New("no command given")}
	}
	var records []string
	if envFile != "" {
		var err error
		if records, err = loadEnv(envFile); err != nil {
			return nil, &ExecError{codeCannotRun, fmt.Errorf("environment of the bottle: %w", err)}
		}
	}
	p := &Program{Argv: argv, Env: mergeEnv(environ, records)}
	var err error
	p.Path, err = findProgram(argv[0], lookupEnv(p.Env, "PATH"))
	return p, startError(argv[0], err)
}

// Failed is the *ExecError for a start that the kernel refused.
func (p *Program) Failed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		// The file was there a moment ago: what is missing is what runs it.
		err = errors.New("its interpreter or loader does not exist")
	}
	return startError(p.Argv[0], err)
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
