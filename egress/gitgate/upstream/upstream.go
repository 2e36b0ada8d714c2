// Package upstream runs git against the repository behind a remote, with a
// credential that no argument, environment, file or bottle ever holds.
package upstream

import (
	"context"
	"io"
	"time"

	"github.com/bot-bottle/bb/egress"
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
	// RunDir is a private directory in memory for sockets.
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
	Env    []string // besides GIT_DIR; never inherited
	Args   []string // "fetch", ...
	Stdin  io.Reader
	Stdout io.Writer
	// Patience is how long it may say nothing at all, on either output, and
	// Limit how long it may take; zero means the package's own.
	Patience, Limit time.Duration
	// Said is called with each clean line that the upstream's hooks say, also
	// when it succeeds; nil drops them. It has returned when Run does.
	Said func(line string)
}

// Run runs git with the credential of a repository at hand. An error is a
// *Failure, or ctx's. Args name the repository by Repo.URL.
func (a *Access) Run(ctx context.Context, r Repo, c Command) error { return nil }

// Kind says what went wrong, as far as git tells.
type Kind string

// Kinds of failures.
const (
	Unreachable Kind = "unreachable" // name, connection, handshake, silence
	HostKey     Kind = "host_key"    // another key, or certificate, than expected
	Permission  Kind = "permission"  // the credential was refused
	Missing     Kind = "missing"     // no such repository, or not for this credential
	Rejected    Kind = "rejected"    // the upstream refused the refs
	Agent       Kind = "agent"       // the host's ssh-agent does not answer
	Other       Kind = "other"
)

// Failure is what the agent may read about it: one line, no address beyond the
// upstream's own host, no credential.
type Failure struct {
	Kind Kind
	Text string // "cannot reach git.example.com:22: connection refused"
	// Said is what the upstream's hooks said, as clean lines, at most 20.
	Said []string
}

func (f *Failure) Error() string { return f.Text }

// Child is bb as what git asks for a password; handled is false for others.
func Child(argv []string) (code int, handled bool) { return 0, false }
