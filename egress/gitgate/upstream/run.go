package upstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress/child"
)

// What a run may take. With the grace at its end, each way in which an upstream
// fails is told within 15 seconds.
const (
	firstSign   = 12 * time.Second
	maxPatience = time.Minute
	maxRun      = 10 * time.Minute
	grace       = time.Second
)

// session is what one run needs: it makes the credential reachable for as long
// as git runs.
type session struct {
	target target
	dir    string // private, gone after the run
	env    []string
	// settings are git's, in its command scope, which no file overrides.
	settings [][2]string
	files    []*os.File // descriptors 3 and on
	secrets  []string   // never in a text
	closers  []func()
}

func (s *session) set(key, value string) { s.settings = append(s.settings, [2]string{key, value}) }

func (s *session) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

// Run runs git with the credential of a repository at hand. An error is a
// *Failure, or ctx's. Args name the repository by Repo.URL.
func (a *Access) Run(ctx context.Context, r Repo, c Command) error {
	s, err := a.open(ctx, r)
	defer s.close()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	git, err := child.Find("git")
	if err != nil {
		return &Failure{Kind: Other, Text: err.Error()}
	}
	w := newWatch(c.Stdout, s.secrets, c.Said)
	if c.Limits.Descriptors == 0 {
		c.Limits.Descriptors = 1024
	}
	life, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go w.wait(life, cancel, c.Patience, c.Limit)
	err = child.Run(life, child.Options{
		Path: git, Args: c.Args, Env: append(s.environ(c.GitDir), c.Env...),
		Stdin: c.Stdin, Stdout: w.stdout(), Stderr: w.stderr(), Files: s.files, Grace: grace,
		Limits: c.Limits,
	})
	w.flush()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var tired *silence
	if errors.As(context.Cause(life), &tired) {
		// What it said before it fell silent may be the reason, but seldom is.
		return &Failure{Kind: Unreachable, Text: fmt.Sprintf("cannot reach %s: %s", s.target.where, tired), Said: w.said}
	}
	var exit *child.ExitError
	if !errors.As(err, &exit) {
		return &Failure{Kind: Other, Text: "git: " + w.scrub(err.Error())}
	}
	return w.failure(s.target)
}

// open prepares a run; what it returns is to be closed even with an error.
func (a *Access) open(ctx context.Context, r Repo) (*session, error) {
	s := &session{}
	t, err := parse(r.URL)
	if err != nil {
		return s, &Failure{Kind: Other, Text: err.Error()}
	}
	s.target = t
	s.target.parent = t.scheme == "https" && r.Parent != nil
	dir, err := os.MkdirTemp(a.RunDir, "u")
	if err != nil {
		return s, &Failure{Kind: Other, Text: "the git gate has no room for a run: " + cause(err)}
	}
	s.dir = dir
	s.closers = append(s.closers, func() { _ = os.RemoveAll(dir) })
	if t.scheme == "ssh" {
		return s, a.openSSH(ctx, s, r)
	}
	return s, a.openHTTPS(s, r)
}

// environ is all of git's environment but what the caller adds.
func (s *session) environ(gitDir string) []string {
	s.set("protocol.allow", "never")
	s.set("protocol."+s.target.scheme+".allow", "always")
	for _, kv := range [][2]string{
		{"protocol.version", "2"},
		{"core.hooksPath", "/dev/null"},
		{"core.fsmonitor", "false"},
		{"credential.helper", ""},
		{"core.askPass", ""},
		{"gc.auto", "0"},
		{"maintenance.auto", "false"},
		{"submodule.recurse", "false"},
		{"fetch.recurseSubmodules", "false"},
		{"push.recurseSubmodules", "no"},
		{"push.followTags", "false"},
		{"push.gpgSign", "false"},
		{"transfer.bundleURI", "false"},
		{"fetch.writeCommitGraph", "false"},
		{"safe.directory", gitDir},
	} {
		s.set(kv[0], kv[1])
	}
	env := append([]string{
		"PATH=" + child.Path, "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_ALLOW_PROTOCOL=" + s.target.scheme,
		"GIT_DIR=" + gitDir, "GIT_CONFIG_COUNT=" + strconv.Itoa(len(s.settings)),
	}, s.env...)
	for i, kv := range s.settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return env
}

// cause is an error without the paths of this machine.
func cause(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

// scrubber takes secrets out of texts.
func scrubber(secrets []string) func(string) string {
	var pairs []string
	for _, secret := range secrets {
		if len(secret) > 3 {
			pairs = append(pairs, secret, "[credential]")
		}
	}
	return strings.NewReplacer(pairs...).Replace
}
