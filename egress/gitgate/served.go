package gitgate

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

// served is one remote in force: what a request is answered with from its
// beginning to its end. Immutable.
type served struct {
	remote egress.Remote
	mirror *mirror
	// values are the known values and the canary of the document.
	values []string
	// ctx ends when a Swap takes the remote away or changes it.
	ctx context.Context
	end context.CancelFunc
}

// Swap puts the remotes of a document in force, whose tokens carry values, or
// returns an error and changes nothing. Mirrors of upstreams that are not named
// any more are removed. Operations under way that are of a remote which is
// changed or gone end; others go on with what they began with.
func (g *Gate) Swap(doc egress.Document) error {
	repos, err := reposOf(doc)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errEnded
	}
	old, next := *g.remotes.Load(), map[string]*served{}
	mirrors, values := map[string]*mirror{}, valuesOf(doc)
	for _, r := range doc.Remotes {
		repo := repos[r.Upstream]
		m := mirrors[repo.URL]
		if m == nil {
			if m = g.mirrors[repo.URL]; m == nil || !reflect.DeepEqual(m.repo, repo) {
				m = g.newMirror(repo)
			}
			mirrors[repo.URL] = m
		}
		s := &served{remote: clone(r), mirror: m, values: values}
		if was := old[r.Name]; was != nil && was.mirror == m && same(was.remote, r) {
			s.ctx, s.end = was.ctx, was.end
		} else {
			s.ctx, s.end = context.WithCancel(g.ctx)
		}
		next[r.Name] = s
	}
	g.remotes.Store(&next)
	for name, was := range old {
		if now := next[name]; now == nil || now.ctx != was.ctx {
			was.end()
		}
	}
	for u, was := range g.mirrors {
		if mirrors[u] != was {
			was.end(errChanged)
		}
	}
	g.mirrors = mirrors
	g.work.Add(1) // not closed: see begin
	go func() {
		defer g.work.Done()
		g.sweep()
	}()
	return nil
}

// reposOf returns what is needed to reach each upstream, by URL. Errors quote
// no value.
func reposOf(doc egress.Document) (map[string]upstream.Repo, error) {
	if err := egress.CheckRemotes(doc.Remotes); err != nil {
		return nil, fmt.Errorf("git %w", err)
	}
	repos, owner := map[string]upstream.Repo{}, map[string]string{}
	for _, r := range doc.Remotes {
		credential := doc.Tokens[r.Slot].Value
		if credential == "" {
			return nil, fmt.Errorf("git remote %s: its credential is missing", r.Name)
		}
		repo := upstream.Repo{URL: r.Upstream, HostKey: r.HostKey, Credential: credential}
		if strings.HasPrefix(r.Upstream, "https:") {
			repo.Roots = doc.UpstreamCA
			if doc.Parent != nil {
				parent := *doc.Parent
				repo.Parent, repo.Login = &parent, doc.Tokens[parent.Slot].Value
			}
		}
		if other, ok := repos[r.Upstream]; ok && !reflect.DeepEqual(other, repo) {
			return nil, fmt.Errorf("git remotes %s and %s name one upstream with different credentials or host keys", owner[r.Upstream], r.Name)
		}
		repos[r.Upstream], owner[r.Upstream] = repo, r.Name
	}
	return repos, nil
}

// valuesOf returns what must not leave in a push.
func valuesOf(doc egress.Document) []string {
	values := []string{}
	for slot, t := range doc.Tokens {
		values = append(values, egress.Needles(slot, t.Value)...)
	}
	values = append(values, doc.Canary)
	slices.Sort(values)
	return slices.DeleteFunc(slices.Compact(values), func(v string) bool { return v == "" })
}

// same compares what is enforced of two remotes.
func same(a, b egress.Remote) bool {
	a.Source, b.Source = "", ""
	return reflect.DeepEqual(a, b)
}

// clone shares no list with the document.
func clone(r egress.Remote) egress.Remote {
	r.Push.Allow, r.Push.Protect = slices.Clone(r.Push.Allow), slices.Clone(r.Push.Protect)
	return r
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
