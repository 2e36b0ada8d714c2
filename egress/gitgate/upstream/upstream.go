// Package upstream runs git against the repository behind a remote, with a
// credential that no argument, environment, file or bottle ever holds.
package upstream

import (
	"context"
	"io"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/child"
)

// Repo is one upstream repository and what is needed to reach it.
type Repo struct {
	URL     string
	HostKey string // "TYPE BASE64"; ssh only
	// Credential is a private key, "ssh-agent TYPE BASE64" (a public key whose
	// private one an ssh-agent of the host has), or a token: TOKEN or USER:TOKEN.
	Credential string
	// Roots is PEM: trusted for https besides the system's.
	Roots string
	// Parent is the proxy that https goes through, and Login its USER:PASSWORD.
	Parent *egress.Parent
	Login  string
}

// Access makes repositories reachable for git.
type Access struct {
	// RunDir is a private directory in memory: for a socket, public keys, and
	// roots (with a Repo's own beside the system's, 300 KiB for each run).
	RunDir string
	// Self is bb's own executable, see Child.
	Self string
	// HostAgent opens a connection to the host's ssh-agent; nil or an error
	// means that there is none now.
	HostAgent func(ctx context.Context) (io.ReadWriteCloser, error)
}

// Command is one run of git.
type Command struct {
	GitDir string
	// Env is besides GIT_DIR; never inherited. Settings belong in Args, as -c:
	// GIT_CONFIG_COUNT is taken.
	Env []string
	// Limits bound git and each program that it starts; what an upstream sends
	// is bounded by nothing else.
	Limits child.Limits
	// Args are "fetch", ... What may be long before its result needs --progress:
	// without a sign of life within 12 seconds the upstream counts as unreachable.
	Args  []string
	Stdin io.Reader
	// Stdout is what an upstream controls, of any length.
	Stdout io.Writer
	// Said gets what the upstream said for people ("remote: " lines), as
	// Failure.Said would, also when the run succeeds.
	Said func(line string)
	// Patience is how long it may say nothing at all, on either output, and
	// Limit how long it may take; zero means a minute, and ten.
	Patience, Limit time.Duration
}

// Kind says what went wrong, as far as git tells.
type Kind string

// Kinds of failures.
const (
	Unreachable Kind = "unreachable" // name, connection, handshake, silence
	HostKey     Kind = "host_key"    // another key, or certificate, than expected
	Permission  Kind = "permission"  // the credential was refused
	Missing     Kind = "missing"     // no such repository, or not for this credential
	Rejected    Kind = "rejected"    // the upstream refused the refs
	Atomic      Kind = "atomic"      // the upstream knows no atomic push
	Agent       Kind = "agent"       // the host's ssh-agent does not answer
	Other       Kind = "other"
)

// Failure is what the agent may read about it: one line, no address beyond the
// upstream's own host, no credential.
type Failure struct {
	Kind Kind
	Text string // "cannot reach git.example.com:22: connection refused"
	// Said is what the upstream said, its hooks above all, as clean lines, at
	// most 20. It says so in its own words: whoever prints them marks them as
	// the upstream's.
	Said []string
}

func (f *Failure) Error() string { return f.Text }
