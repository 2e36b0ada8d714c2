package sidecar

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate"
	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

// gitDirName is the git gate's directory below the authority's, and that of its
// sockets beside the control socket.
const gitDirName = "git"

// openLogs opens the logs that control hands out.
func openLogs(opts Options) map[string]*store {
	dir := filepath.Join(opts.CADir, logDirName)
	open := func(what, name string, limit int64) *store {
		return openStore(directory{dir, name}, limit, func(err error) {
			opts.note("the %s log stays in memory, the latest of it only: %v", what, err)
		})
	}
	return map[string]*store{
		egress.LogAccess: open("access", accessFiles, maxLogFile),
		egress.LogGit:    open("git", gitFiles, maxGitFile),
	}
}

// openGate starts a git gate without remotes; refused is told of each push that it
// refuses.
func openGate(opts Options, agent *hostAgent, log func(entry any), refused func(e gitgate.Entry, more int)) (Gate, error) {
	// Found when the process began: one that is not dumpable cannot ask.
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	run := filepath.Join(filepath.Dir(opts.ControlSocket), gitDirName)
	for _, dir := range []string{opts.GitDir, run} {
		if err := privateDir(dir); err != nil {
			return nil, err
		}
	}
	gate, err := opts.newGate(gitgate.Options{
		Dir: opts.GitDir, RunDir: run, Self: self, Note: opts.note,
		Log:      func(e gitgate.Entry) { log(e) },
		Refused:  refused,
		Upstream: &upstream.Access{RunDir: run, Self: self, HostAgent: agent.HostAgent},
	})
	if err != nil {
		return nil, fmt.Errorf("git gate: %w", err)
	}
	return gate, nil
}

// privateDir makes a directory that no other user may enter.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	return os.Chmod(dir, 0o700)
}
