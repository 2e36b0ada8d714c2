package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/risky"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress/door/tree"
)

// leftOut lists what Skip left out; names in it are quoted already.
func leftOut(w io.Writer, r *tree.Refused, err error) {
	if err == nil {
		fmt.Fprint(w, r.LeftOut())
	}
}

// shownRisky bounds the list after a copy.
const shownRisky = 30

// warnRisky lists what came out of a bottle and may run on this machine.
func (a *app) warnRisky(l *risky.List) {
	if l.Count == 0 {
		return
	}
	fmt.Fprintln(a.stderr, "what an agent may have written and this machine may run, to read before a tool opens it:")
	first := l.First(shownRisky)
	for _, f := range first {
		fmt.Fprintf(a.stderr, "  %s: %s\n", view.Escape(f.Path), f.Why)
	}
	if more := l.Count - len(first); more > 0 {
		fmt.Fprintf(a.stderr, "  and %d more\n", more)
	}
}

// riskySince lists what changed in a mounted workspace since a time and may
// run on this machine.
func riskySince(dir string, since time.Time) (*risky.List, error) { return risky.Since(dir, since) }

// copied counts bytes and tells of copies that take long.
type copied struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	bytes    int64
	said     bool
	stop     chan struct{}
	once     sync.Once
}

func newCopied(w io.Writer) *copied {
	c := &copied{w: w, terminal: isTerminal(w), stop: make(chan struct{})}
	every := 10 * time.Second
	if c.terminal {
		every = time.Second
	}
	go func() {
		for {
			select {
			case <-c.stop:
				return
			case <-time.After(every):
				c.say()
			}
		}
	}()
	return c
}

func (c *copied) add(n int) {
	c.mu.Lock()
	c.bytes += int64(n)
	c.mu.Unlock()
}

func (c *copied) say() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.stop:
		return
	default:
	}
	if c.terminal {
		fmt.Fprintf(c.w, "\rcopying... %s\x1b[K", view.Size(c.bytes))
		c.said = true
		return
	}
	fmt.Fprintf(c.w, "copying... %s\n", view.Size(c.bytes))
}

// end takes the line away; more calls do nothing.
func (c *copied) end() {
	c.once.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(c.stop)
		if c.said {
			fmt.Fprint(c.w, "\r\x1b[K")
		}
	})
}

func (c *copied) reader(r io.Reader) io.Reader { return countingReader{r, c} }

type countingReader struct {
	io.Reader
	c *copied
}

func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.c.add(n)
	return n, err
}
