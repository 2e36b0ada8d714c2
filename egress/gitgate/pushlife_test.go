package gitgate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate/leaks"
	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

// onForward does something around the git push to the upstream.
func (b *bench) onForward(f func(run func() error) error) {
	around := func(c upstream.Command, run func() error) error {
		if c.Args[0] == "push" {
			return f(run)
		}
		return run()
	}
	b.up.around.Store(&around)
}

func TestLostAnswer(t *testing.T) {
	b := newBench(t, egress.Push{})
	lost := &upstream.Failure{Kind: upstream.Unreachable, Text: "connection lost"}
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	b.onForward(func(run func() error) error { return errors.Join(run(), lost) })
	if out := b.accepted("work"); !strings.Contains(out, "but the push is there") {
		t.Errorf("%s", out)
	}
	b.commit("third")
	b.onForward(func(func() error) error { return lost })
	b.refused("connection lost; nothing of it is on the upstream", "work")
	around := func(c upstream.Command, run func() error) error { return lost }
	b.onForward(func(func() error) error { b.up.around.Store(&around); return lost })
	b.refused("whether it arrived is not known", "work")
}

func TestUpstreamMovesMeanwhile(t *testing.T) {
	b := newBench(t, egress.Push{Force: true})
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	b.accepted("work")
	b.commit("theirs")
	b.git("branch", "theirs")
	b.git("reset", "-q", "--hard", "HEAD~1")
	b.commit("mine")
	b.onForward(func(run func() error) error {
		b.git("push", "-q", b.upstream, "theirs:work")
		return run()
	})
	out, err := b.try("push", "-f", "origin", "work")
	if err == nil || !strings.Contains(b.refs(), "refs/heads/work "+b.git("rev-parse", "theirs")) {
		t.Errorf("%v: %s\n%s", err, out, b.refs())
	}
}

func TestNoAtomicUpstream(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.git("--git-dir", b.upstream, "config", "receive.advertiseAtomic", "false")
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	b.refused("push one ref at a time", "work:one", "work:two")
	b.accepted("work:one")
}

func TestTwoAtOnce(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	b.accepted("work")
	b.commit("a")
	b.git("branch", "a")
	b.git("reset", "-q", "--hard", "HEAD~1")
	b.commit("b")
	b.git("branch", "b")
	var group sync.WaitGroup
	results := make([]error, 4)
	for i, args := range [][]string{{"a:work"}, {"b:work"}, {"a:other"}, {"b:third"}} {
		group.Go(func() { _, results[i] = b.try(append([]string{"push", "origin"}, args...)...) })
	}
	group.Wait()
	if (results[0] == nil) == (results[1] == nil) || results[2] != nil || results[3] != nil {
		t.Errorf("one of two must win, and the others too: %v", results)
	}
}

// holdScan makes the search wait until the push ends.
func (b *bench) holdScan() (reached chan struct{}) {
	reached = make(chan struct{})
	var once sync.Once
	b.gate.scan = func(ctx context.Context, req leaks.Request, r io.Reader) (leaks.Report, error) {
		if _, names := r.(*strings.Reader); names { // for the log
			return searcher(ctx, req, r)
		}
		first := false
		once.Do(func() { first = true; close(reached) })
		if first {
			<-ctx.Done()
			return leaks.Report{}, ctx.Err()
		}
		return searcher(ctx, req, r)
	}
	return reached
}

func (b *bench) eventuallyNothingLeft() {
	b.t.Helper()
	for range 100 {
		if left, _ := filepath.Glob(filepath.Join(b.gate.o.Dir, "push-*")); len(left) == 0 && len(b.gate.places) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Error("the push left something")
}

func TestClientKilled(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.git("checkout", "-q", "-b", "work")
	id := b.commit("second")
	body := pkt(none+" "+id+" refs/heads/work"+caps) + "0000" + b.pack("work\n^main\n", "--revs")
	before := b.refs()
	for name, cut := range map[string]int{"while it sends": len(body) - 30, "while it is judged": len(body)} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			reached := b.holdScan()
			ctx, cancel := context.WithCancel(t.Context())
			r, w := io.Pipe()
			go func() {
				_, _ = io.WriteString(w, body[:cut])
				if cut < len(body) {
					time.Sleep(300 * time.Millisecond)
				} else {
					_ = w.Close()
					<-reached
				}
				cancel()
				_ = w.CloseWithError(context.Canceled)
			}()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/git-receive-pack", r)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", requestType(pushName))
			if res, err := http.DefaultClient.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			b.eventuallyNothingLeft()
			if e := b.logged(); len(e) == 0 || e[len(e)-1].Verdict == Accepted {
				t.Errorf("logged %+v", e)
			}
			if b.refs() != before {
				t.Errorf("it changed the upstream: %s", b.refs())
			}
		})
	}
	b.t = t
	b.gate.scan = searcher
	b.accepted("work")
}

func TestSwapEndsPush(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	ctx, cancel := context.WithCancel(t.Context())
	s := *b.served.Load()
	s.ctx = ctx
	b.served.Store(&s)
	reached := b.holdScan()
	go func() { <-reached; cancel() }()
	b.refused("changed or taken away", "work")
	b.eventuallyNothingLeft()
}

func TestScannerThatStopsShort(t *testing.T) {
	b := newBench(t, egress.Push{})
	b.git("checkout", "-q", "-b", "work")
	b.write("a", strings.Repeat("x", 1<<20))
	b.commit("second")
	b.gate.scan = func(context.Context, leaks.Request, io.Reader) (leaks.Report, error) { return leaks.Report{}, nil }
	b.refused("cannot be searched", "work")
	b.gate.scan = func(_ context.Context, _ leaks.Request, r io.Reader) (leaks.Report, error) {
		_, err := io.Copy(io.Discard, r)
		return leaks.Report{Objects: 1}, err
	}
	b.refused("cannot be searched", "work")
}

func TestOff(t *testing.T) {
	b := newBench(t, egress.Push{Off: true})
	b.git("checkout", "-q", "-b", "work")
	b.commit("second")
	b.refused("pushing to origin is switched off", "work")
}
