package gitgate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

type runner interface {
	Run(ctx context.Context, r upstream.Repo, c upstream.Command) error
}

type seamState struct{ upstream runner }

type mirror struct {
	dir  string
	repo upstream.Repo
	g    *Gate
	mu   sync.Mutex
}

type tips struct {
	Head string
	Refs map[string]string
}

type gitRun struct {
	Dir    string
	Env    []string
	Args   []string
	Stdin  io.Reader
	Stdout io.Writer
	Files  []*os.File
	Limit  time.Duration
}

type served struct {
	remote egress.Remote
	mirror *mirror
	values []string
	ctx    context.Context
}

func (m *mirror) lock(ctx context.Context) (func(), error) {
	for !m.mu.TryLock() {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return m.mu.Unlock, nil
}

func (m *mirror) refresh(ctx context.Context) (tips, error) {
	t := tips{Refs: map[string]string{}}
	var out bytes.Buffer
	if err := m.g.upstream.Run(ctx, m.repo, upstream.Command{GitDir: m.dir, Args: []string{"ls-remote", "--symref", m.repo.URL}, Stdout: &out}); err != nil {
		return t, err
	}
	for l := range strings.Lines(out.String()) {
		f := strings.Fields(l)
		switch {
		case f[0] == "ref:":
			t.Head = f[1]
		case strings.HasPrefix(f[1], "refs/") && !strings.HasSuffix(f[1], "^{}"):
			t.Refs[f[1]] = f[0]
		}
	}
	return t, m.g.upstream.Run(ctx, m.repo, upstream.Command{GitDir: m.dir, Args: []string{"fetch", "--quiet", "--prune", "--no-tags", m.repo.URL, "+refs/*:refs/*"}, Stdout: io.Discard})
}

func (g *Gate) git(ctx context.Context, c gitRun) error {
	ctx, cancel := context.WithTimeout(ctx, c.Limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", c.Args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.ExtraFiles = c.Dir, append([]string{"PATH=/usr/bin:/bin"}, c.Env...), c.Stdin, c.Stdout, c.Files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd.Run()
}

// seamServe is the server's part as far as a push needs it.
func (g *Gate) seamServe(s func() *served) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := s()
		switch {
		case strings.HasSuffix(r.URL.Path, "/info/refs"):
			service := strings.TrimPrefix(r.URL.Query().Get("service"), "git-")
			unlock, err := now.mirror.lock(r.Context())
			if err == nil {
				_, err = now.mirror.refresh(r.Context())
				unlock()
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			w.Header().Set("Content-Type", "application/x-git-"+service+"-advertisement")
			first := "# service=git-" + service + "\n"
			_, _ = io.WriteString(w, fmt.Sprintf("%04x%s", len(first)+4, first)+"0000")
			_ = g.git(r.Context(), gitRun{Dir: now.mirror.dir, Env: gitEnv(), Args: []string{service, "--stateless-rpc", "--advertise-refs", "."}, Stdout: w, Limit: time.Minute})
		case strings.HasSuffix(r.URL.Path, "/git-receive-pack"):
			g.receive(w, r, now)
		case strings.HasSuffix(r.URL.Path, "/git-upload-pack"):
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			_ = g.git(r.Context(), gitRun{Dir: now.mirror.dir, Env: gitEnv(), Args: []string{"upload-pack", "--stateless-rpc", "."}, Stdin: r.Body, Stdout: w, Limit: time.Minute})
		}
	})
}

// direct runs git on local repositories.
type direct struct{}

func (direct) Run(ctx context.Context, _ upstream.Repo, c upstream.Command) error {
	cmd := exec.CommandContext(ctx, "git", c.Args...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "GIT_DIR=" + c.GitDir, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C"}, c.Env...)
	var all bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, &all
	err := cmd.Run()
	f := &upstream.Failure{Kind: upstream.Other, Text: "git failed"}
	for l := range strings.Lines(all.String()) {
		if said, is := strings.CutPrefix(strings.TrimSpace(l), "remote: "); is {
			f.Said = append(f.Said, said)
			if c.Said != nil {
				c.Said(said)
			}
		} else if strings.HasPrefix(l, "fatal:") && f.Text == "git failed" {
			f.Text = strings.TrimSpace(l)
		} else if strings.Contains(l, "failed to push some refs") {
			f.Kind, f.Text = upstream.Rejected, "the upstream rejected it"
		}
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return f
	}
	return err
}
