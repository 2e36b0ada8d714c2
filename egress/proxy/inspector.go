package proxy

import (
	"errors"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

var errInspector = errors.New("the search failed")

// inspector makes what searches under a policy, or nil.
func (p *Proxy) inspector(policy *Policy) egress.Inspector {
	if p.o.Inspector == nil {
		return nil
	}
	values := slices.Clone(policy.known)
	if policy.canary != "" {
		values = append(values, policy.canary)
	}
	return &careful{p.o.Inspector(values), p.heavy}
}

// careful makes a panic of an inspector a find that nothing passes with: some
// searches run in goroutines of net/http, where it would end the process.
type careful struct {
	inner egress.Inspector
	heavy chan struct{}
}

// heavyBody is the length from which a body is searched in turn with others:
// what it is decoded to is not in the budget. One with a coding always is.
const heavyBody = 256 << 10

func (c *careful) Text(text string, exact bool) (hits []egress.Hit) {
	defer func() {
		if recover() != nil {
			hits = []egress.Hit{{Detector: errInspector.Error()}}
		}
	}()
	return c.inner.Text(text, exact)
}

func (c *careful) Body(b egress.Body) (plain []byte, hits []egress.Hit, err error) {
	defer failed(&err)
	if len(b.Data) > heavyBody || len(b.Codings) > 0 {
		c.heavy <- struct{}{}
		defer func() { <-c.heavy }()
	}
	return c.inner.Body(b)
}

func (c *careful) Stream(b egress.Body) (s egress.Searcher, err error) {
	defer failed(&err)
	if s, err = c.inner.Stream(b); err != nil {
		return nil, err
	}
	return &carefulSearcher{s}, nil
}

type carefulSearcher struct{ inner egress.Searcher }

func (c *carefulSearcher) Push(p []byte) (hits []egress.Hit, err error) {
	defer failed(&err)
	return c.inner.Push(p)
}

func (c *carefulSearcher) End() (hits []egress.Hit, err error) {
	defer failed(&err)
	return c.inner.End()
}

func (c *carefulSearcher) Close() {
	defer func() { _ = recover() }()
	c.inner.Close()
}

func failed(err *error) {
	if recover() != nil {
		*err = errInspector
	}
}

// cover is what stands in for a find. It is part of no base64 and no escape,
// so that what read the text around it still does, and it has its length.
const cover = '*'

// coverable reports whether every hit has bounds in a text of n bytes.
func coverable(hits []egress.Hit, n int) bool {
	return !slices.ContainsFunc(hits, func(h egress.Hit) bool { return h.Start < 0 || h.Start >= h.End || h.End > n })
}

// coverBytes covers hits that are coverable, in place.
func coverBytes(data []byte, hits []egress.Hit) {
	for _, h := range hits {
		for i := h.Start; i < h.End; i++ {
			data[i] = cover
		}
	}
}

// withCover is text without its hits: nothing of it where one has no bounds.
func withCover(text string, hits []egress.Hit) string {
	if !coverable(hits, len(text)) {
		return string(cover)
	}
	data := []byte(text)
	coverBytes(data, hits)
	return string(data)
}

// detectors names what was found, for logs and answers.
func detectors(hits []egress.Hit) string {
	var names []string
	for _, h := range hits {
		if !slices.Contains(names, h.Detector) {
			names = append(names, h.Detector)
		}
	}
	slices.Sort(names)
	return short(strings.Join(names, ", "))
}

func anyKnown(hits []egress.Hit) bool {
	return slices.ContainsFunc(hits, func(h egress.Hit) bool { return h.Known })
}

// clean covers what a line of the log would show of a request that was refused
// before it was searched, or because of what was found.
func (p *Proxy) clean(e *Entry) {
	l := p.live.Load()
	if l == nil || l.inspector == nil {
		return
	}
	for _, s := range []*string{&e.Method, &e.Host, &e.Path, &e.Reason} {
		if *s != "" {
			if hits := l.inspector.Text(*s, false); len(hits) > 0 {
				*s = withCover(*s, hits)
			}
		}
	}
}
