package gitgate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

const (
	askLimit      = 12 * time.Second // with what else is done, 15 s until the agent is told
	fetchPatience = 30 * time.Second
	fetchLimit    = time.Hour
	tidyLimit     = 5 * time.Minute
	remakePause   = 5 * time.Minute // between two attempts to heal one mirror
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
	format, err := m.format()
	if err == nil && format == "" {
		format = formatSHA1
		err = m.make(format)
	}
	if err != nil {
		return tips{}, err
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
	if err != nil && ctx.Err() == nil && (!errors.As(err, &failure) || failure.Kind == upstream.Other) {
		has, err = m.heal(ctx, wants, err)
	}
	if err != nil {
		return tips{}, err
	}
	return tips{Head: wants.Head, Refs: has}, m.point(ctx, wants)
}

// ask asks the upstream what it has.
func (m *mirror) ask(ctx context.Context) (listing, error) {
	out := &bounded{most: maxListing}
	err := m.g.o.Upstream.Run(ctx, m.repo, upstream.Command{
		GitDir: m.dir, Args: []string{"ls-remote", "--symref", "--", m.repo.URL}, Stdout: out,
		Patience: askLimit, Limit: askLimit,
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
	if m.suspect.Load() {
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
	return m.g.o.Upstream.Run(ctx, m.repo, upstream.Command{
		GitDir: m.dir, Patience: fetchPatience, Limit: fetchLimit,
		Args: []string{
			"fetch", "--progress", "--prune", "--no-tags", "--force", "--no-write-fetch-head", "--no-auto-maintenance",
			"--no-recurse-submodules", "--no-show-forced-updates", "--", m.repo.URL, "+refs/*:refs/*",
		},
	})
}

// heal makes a mirror again that git cannot work with: what a killed process or
// a disk left of it. Where it cannot help, it is not tried all the time.
func (m *mirror) heal(ctx context.Context, wants listing, cause error) (map[string]string, error) {
	if time.Since(m.remade) < remakePause {
		return nil, cause
	}
	m.remade = time.Now()
	m.g.o.Note("git gate: a mirror is made again: %s", line(cause.Error()))
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
		m.g.o.Note("git gate: a mirror could not be tidied: %s", line(err.Error()))
	}
}
