// Package cli is a typed client of the smolvm command line, version 1.8.0 or
// later. It knows what the program prints and how it fails; what a bottle is,
// it does not know.
//
// Nothing that it puts into an argument list may be secret: it has no way to
// set a variable in a machine. Secrets enter by the standard input of Exec.
package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
)

// Client runs one smolvm program. It may be used by several goroutines.
type Client struct {
	Path     string // absolute
	Version  Version
	Features Features
	// StartLimits are set by Find.
	StartLimits StartLimits

	env     []string
	proxies []string // those of this process, for pulls alone
	locks   string
}

// Options of Find.
type Options struct {
	// Getenv reads this process's environment; nil means os.Getenv.
	Getenv func(string) string
	// Locks is the directory of the machines' locks, made when it is missing.
	// It must be the same for all that share smolvm's data.
	Locks string
}

// Find looks for the program (BB_SMOLVM, else smolvm on PATH) and asks it for
// its version and flags. It boots nothing. Errors are diag.Diagnostic values:
// missing, too old, or another program of that name.
func Find(ctx context.Context, o Options) (*Client, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	path, err := locate(o.Getenv)
	if err != nil {
		return nil, err
	}
	c := &Client{
		Path: path, StartLimits: startLimits,
		env: environment(o.Getenv), proxies: variables(o.Getenv, proxyNames), locks: o.Locks,
	}
	out, err := c.run(ctx, call{op: "--version", args: []string{"--version"}, limit: quickLimit, idempotent: true})
	if err != nil {
		return nil, notSmolvm(path, err)
	}
	if c.Version, err = ParseVersion(string(out)); err != nil {
		return nil, notSmolvm(path, err)
	}
	if c.Version.Less(MinVersion) {
		return nil, diag.Errorf("%s is smolvm %s, and bb needs %s or later", path, c.Version, MinVersion).
			WithHint("install a newer smolvm, or let BB_SMOLVM name one")
	}
	out, err = c.run(ctx, call{op: "machine create --help", args: []string{"machine", "create", "--help"}, limit: quickLimit, idempotent: true})
	if err != nil {
		return nil, notSmolvm(path, err)
	}
	c.Features = ParseFeatures(string(out))
	if lacks := c.Features.lacks(); len(lacks) > 0 {
		return nil, diag.Errorf("%s is smolvm %s, but its machine create does not know %s", path, c.Version, strings.Join(lacks, ", ")).
			WithHint("let BB_SMOLVM name the smolvm of smolmachines.com; the Python package smolvm is another program")
	}
	return c, nil
}

func notSmolvm(path string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == Timeout {
		return err
	}
	return diag.Errorf("%s does not answer as smolvm does: %v", path, err).
		WithHint("let BB_SMOLVM name smolvm %s or later", MinVersion)
}

// passed are the variables of this process that smolvm sees. All others stay
// out: bb's may hold credentials, and some of smolvm's own would open a machine
// (SMOLVM_GUEST_HOST_SERVICE, SMOLVM_EGRESS_FLOOR), pick another one
// (SMOLVM_MACHINE_NAME) or write into what is parsed here (RUST_LOG).
var passed = []string{
	"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "TERM",
	"XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
	"SMOLVM_DATA_DIR", "SMOLVM_LIB_DIR", "SMOLVM_AGENT_ROOTFS", "SMOLVM_AGENT_ROOTFS_TAR", "SMOLVM_CONFIG",
	"SMOLVM_MAX_IMAGE_BYTES", "SMOLVM_SECCOMP", "SMOLVM_LANDLOCK",
}

// proxyNames lead to a registry. One may hold a password: it is never an argument.
var proxyNames = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}

func environment(getenv func(string) string) []string {
	return append([]string{"RUST_LOG=off", "NO_COLOR=1"}, variables(getenv, passed)...)
}

func variables(getenv func(string) string, names []string) (env []string) {
	for _, name := range names {
		if v := getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// machineArgs begins an argument list of a machine command. Values stand
// behind "=", so that none is ever taken for a flag.
func machineArgs(verb, name string, more ...string) []string {
	return append([]string{"machine", verb, "--name=" + name}, more...)
}

// first returns the first of several errors.
func first(errs ...error) error { return cmp.Or(errs...) }
