package leaks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"
)

// childName is what bb is called as when it searches.
const childName = "bb-leaks"

// protocol is the version of what the two processes say to each other: the
// request in JSON on one line, and the objects; the answer in JSON.
const protocol = 1

type question struct {
	Version int `json:"version"`
	Request
}

type answer struct {
	Version int    `json:"version"`
	Report  Report `json:"report"`
	Error   string `json:"error,omitempty"`
}

const (
	// leastWait, and one second for each waitRate bytes, is how long a scan may
	// take; mostWait bounds it.
	leastWait = 30 * time.Second
	waitRate  = 2 << 20
	mostWait  = 10 * time.Minute
	// maxAnswer bounds what a child says, in bytes.
	maxAnswer = 1 << 20
	// maxRequest bounds the values and names that it is given.
	maxRequest = 8 << 20
)

// errSlow says that a scan took longer than its size allows.
var errSlow = errors.New("the search of what was pushed takes too long")

// Run is Scan in a child process of its own, which has limits of memory and
// time: what content does to the scanner, it does to the child. self is bb's
// own executable. objects has to fail when its source did, and a read of it may
// still be under way when Run returns an error.
func Run(ctx context.Context, self string, req Request, objects io.Reader) (Report, error) {
	head, err := json.Marshal(question{Version: protocol, Request: req})
	if err != nil {
		return Report{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := &counted{r: objects}
	go in.watch(ctx, func() { cancel(errSlow) })
	out := limited{most: maxAnswer}
	err = runChild(ctx, self, io.MultiReader(bytes.NewReader(append(head, '\n')), in), &out)
	if why := context.Cause(ctx); why != nil {
		return Report{}, why
	}
	if failed := in.failed.Load(); failed != nil {
		return Report{}, *failed
	}
	var a answer
	if wrong := json.Unmarshal(out.Bytes(), &a); err == nil {
		err = wrong
	}
	switch {
	case err != nil:
		return Report{}, fmt.Errorf("what was pushed could not be searched: the process that does it died: %w", err)
	case a.Version != protocol:
		return Report{}, fmt.Errorf("what was pushed could not be searched: the process that does it speaks version %d, not %d", a.Version, protocol)
	case a.Error != "":
		return Report{}, fmt.Errorf("what was pushed could not be searched: %s", a.Error)
	case !in.ended.Load():
		return Report{}, errors.New("what was pushed could not be searched: the process that does it did not read all")
	}
	return a.Report, nil
}

// counted remembers how much was read, how it ended, and that it did.
type counted struct {
	r      io.Reader
	n      atomic.Int64
	ended  atomic.Bool
	failed atomic.Pointer[error]
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	switch {
	case errors.Is(err, io.EOF):
		c.ended.Store(true)
	case err != nil:
		c.failed.Store(&err)
	}
	return n, err
}

// watch calls late when what was read should have been searched.
func (c *counted) watch(ctx context.Context, late func()) {
	began := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if time.Since(began) > allowed(c.n.Load()) {
				late()
				return
			}
		}
	}
}

// allowed is how long the search of so many bytes may take.
func allowed(size int64) time.Duration {
	return min(mostWait, leastWait+time.Duration(size/waitRate)*time.Second)
}

// limited keeps at most so many bytes.
type limited struct {
	bytes.Buffer
	most int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > l.most {
		return 0, errors.New("it says too much")
	}
	return l.Buffer.Write(p)
}

// last is the last line of what a child said to its standard error, clean.
func last(said []byte) string {
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	for _, l := range lines {
		// What Go says when it runs out of memory comes first, before stacks.
		if strings.HasPrefix(l, "fatal error: ") || strings.HasPrefix(l, "panic: ") {
			return clip(clean(l), maxExcerpt)
		}
	}
	return clip(clean(lines[len(lines)-1]), maxExcerpt)
}
