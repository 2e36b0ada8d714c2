package gitgate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

const (
	tipsLimit     = 12 * time.Second // with what else is done, 15 s until the agent is told
	fetchPatience = 30 * time.Second
	fetchLimit    = time.Hour
	tidyLimit     = 5 * time.Minute
	remakePause   = 5 * time.Minute // between two attempts to heal one mirror
	checkPause    = time.Minute     // between two looks at all of it
	// freshFor is how long after its info/refs a client may go on with the
	// requests of the same operation.
	freshFor = 2 * time.Minute
)

// refresh makes the mirror what the upstream is now. The caller holds the lock.
// The error is what the agent may read, or ctx's.
func (m *mirror) refresh(ctx context.Context) (tips, error) {
	m.asked.Store(0)
	t, err := m.update(ctx)
	if err == nil {
		m.asked.Store(time.Now().Unix())
	} else if ctx.Err() != nil {
		return tips{}, context.Cause(ctx)
	}
	return t, m.g.readable("refreshing a mirror", err)
}

// recent tells whether the upstream answered just now.
func (m *mirror) recent() bool {
	return time.Since(time.Unix(m.asked.Load(), 0)) < freshFor
}

func (m *mirror) update(ctx context.Context) (tips, error) {
	release, err := m.g.refreshes.take(ctx)
	if err != nil {
		return tips{}, err
	}
	defer release()
	format := m.format()
	if format == "" {
		format = formatSHA1
		if err := m.make(format); err != nil {
			return tips{}, err
		}
	}
	wants, err := m.ask(ctx)
	if err != nil {
		return tips{}, err
	}
	if f := wants.format(); f != "" && f != format {
		if err := m.make(f); err != nil {
			return tips{}, err
		}
	}
	has, err := m.follow(ctx, wants)
	var failure *upstream.Failure
	if err != nil && ctx.Err() == nil && !errors.Is(err, errFull) && (!errors.As(err, &failure) || failure.Kind == upstream.Other) {
		has, err = m.heal(ctx, wants, err)
	}
	if err != nil {
		return tips{}, err
	}
	return tips{Head: wants.Head, Refs: has, Links: wants.Links}, m.point(ctx, wants)
}

// ask asks the upstream what it has.
func (m *mirror) ask(ctx context.Context) (listing, error) {
	out := &listBuffer{most: maxListing}
	err := m.g.upstream.Run(ctx, m.repo, upstream.Command{
		GitDir: m.dir, Args: []string{"ls-remote", "--symref", "--", m.repo.URL}, Stdout: out,
		Patience: tipsLimit, Limit: tipsLimit,
	})
	if err != nil {
		return listing{}, err
	}
	return parseListing(out.Bytes())
}

// follow fetches if refs differ, and returns those that the mirror then has.
func (m *mirror) follow(ctx context.Context, wants listing) (map[string]string, error) {
	has, err := m.refs(ctx)
	if err != nil {
		return nil, err
	}
	if m.suspect.Load() && time.Since(m.checked) > checkPause {
		m.checked = time.Now()
		if err := m.whole(ctx); err != nil {
			return nil, err
		}
		m.suspect.Store(false)
	}
	if maps.Equal(has, wants.Refs) {
		return has, nil
	}
	if err := m.fetch(ctx); err != nil {
		return nil, err
	}
	m.g.background(m.tidy)
	return m.refs(ctx)
}

func (m *mirror) fetch(ctx context.Context) error {
	m.clear()
	err := m.g.upstream.Run(ctx, m.repo, upstream.Command{
		GitDir: m.dir, Patience: fetchPatience, Limit: fetchLimit,
		Args: []string{
			"fetch", "--progress", "--prune", "--no-tags", "--force", "--no-write-fetch-head", "--no-auto-maintenance",
			"--no-recurse-submodules", "--no-show-forced-updates", "--", m.repo.URL, "+refs/*:refs/*",
		},
	})
	if err != nil {
		// What git says of a full disk depends on which of its processes says it.
		full := free(m.dir) < lowDisk
		m.clear()
		if full && ctx.Err() == nil {
			return errors.Join(errFull, err)
		}
	}
	return err
}

// clear removes what a git that was killed, or had no room, left unfinished: a
// part of a pack is as large as the pack. Nobody else writes to the mirror.
func (m *mirror) clear() {
	for _, pattern := range []string{"objects/tmp_*", "objects/*/tmp_*", "objects/pack/.tmp-*"} {
		left, _ := filepath.Glob(filepath.Join(m.dir, pattern))
		for _, path := range left {
			_ = os.Remove(path)
		}
	}
}

// lowDisk is what git cannot do anything with, in bytes.
const lowDisk = 1 << 20

// free returns how much can be written where dir is, in bytes.
func free(dir string) uint64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return lowDisk
	}
	return s.Bavail * uint64(s.Bsize) //nolint:gosec // a size of blocks is positive
}

// heal makes a mirror again that git cannot work with: what a killed process or
// a disk left of it. Where it cannot help, it is not tried all the time.
func (m *mirror) heal(ctx context.Context, wants listing, cause error) (map[string]string, error) {
	if time.Since(m.remade) < remakePause {
		return nil, cause
	}
	m.remade = time.Now()
	m.g.note("git gate: a mirror is made again: %s", line(cause.Error()))
	format := wants.format()
	if format == "" {
		format = formatSHA1
	}
	if err := m.make(format); err != nil {
		return nil, err
	}
	m.suspect.Store(false)
	return m.follow(ctx, wants)
}

// point makes HEAD what the upstream's is.
func (m *mirror) point(ctx context.Context, wants listing) error {
	text, args := "ref: "+nowhere+"\n", []string{"symbolic-ref", "HEAD", nowhere}
	switch {
	case wants.Head != "":
		text, args[2] = "ref: "+wants.Head+"\n", wants.Head
	case wants.detached != "":
		text, args = wants.detached+"\n", []string{"update-ref", "--no-deref", "HEAD", wants.detached}
	}
	has, err := os.ReadFile(filepath.Join(m.dir, "HEAD"))
	if err == nil && string(has) == text {
		return nil
	}
	if err := m.g.git(ctx, gitRun{Dir: m.dir, Args: args}); err != nil {
		return fmt.Errorf("repointing HEAD: %w", err)
	}
	return nil
}

// tidy keeps the number of packs and loose objects bounded.
func (m *mirror) tidy() {
	unlock, err := m.lock(m.ctx)
	if err != nil {
		return
	}
	defer unlock()
	if time.Since(m.tidied) < time.Minute {
		return // one that changes all the time is tidied with a later change
	}
	m.tidied = time.Now()
	err = m.g.git(m.ctx, gitRun{
		Dir: m.dir, Limit: tidyLimit,
		Args: []string{"-c", "gc.auto=2000", "gc", "--auto", "--quiet"},
	})
	if err != nil && m.ctx.Err() == nil {
		m.g.note("git gate: a mirror could not be tidied: %s", line(err.Error()))
	}
}
