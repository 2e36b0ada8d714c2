package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// logging is a driver of sidecars whose logs a test writes.
type logging struct {
	backends.Driver
	mu       sync.Mutex
	streams  int // that were begun
	measured int
	fails    error
	lines    chan string
	cut      chan struct{} // ends what is followed
}

func (d *logging) AccessLog(ctx context.Context, _ spec.ID, r egress.LogRequest, w io.Writer) error {
	d.mu.Lock()
	d.streams++
	fails := d.fails
	d.mu.Unlock()
	if fails != nil {
		return fails
	}
	if !r.Follow {
		return errors.New("it is asked again and again")
	}
	span, err := json.Marshal(egress.LogSpan{At: r.Since, End: r.Since})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(w).Encode(egress.Reply{OK: true, Data: span}); err != nil {
		return err
	}
	for {
		select {
		case line := <-d.lines:
			if _, err := io.WriteString(w, line); err != nil {
				return err
			}
		case <-d.cut:
			return errors.New("cut off")
		case <-ctx.Done():
			return nil
		}
	}
}

func (d *logging) Memory(context.Context, spec.ID) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.measured++
	return 7, d.fails
}

func (d *logging) begun() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.streams
}

var devID = spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"}

// oneBottle is a planning that sees one bottle, whose sidecar is ref.
func oneBottle(d backends.Driver, ref string) *planning {
	up := &plan.Part{Ref: ref, Running: true}
	return &planning{
		compiled: &compiled{fleet: &manifest.Fleet{}, specs: []*spec.Spec{{ID: devID}}},
		drivers:  drivers{"fake": d},
		seen:     []plan.World{{Backend: "fake", Instances: []plan.Instance{{ID: devID, Backend: "fake", Agent: up, Sidecar: up}}}},
	}
}

// until waits for what other goroutines do.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// A sidecar is asked for its log once, however often somebody looks; a stream that
// broke goes on where it was, and one that cannot be had is told of.
func TestFollowing(t *testing.T) {
	d := &logging{lines: make(chan string), cut: make(chan struct{})}
	f := newFollowing(t.Context())
	key := logKey{devID, "fake", egress.LogAccess}
	look := func(ref string) counts {
		return f.follow(oneBottle(d, ref), nil, 0)[key].copy()
	}
	for range 5 {
		look("a")
	}
	const line = `{"host":"x.example.com","port":8080,"method":"PUT","path":"/p","verdict":"denied","reason":"no"}` + "\n"
	d.lines <- line[:20]
	d.lines <- line[20:] + line
	until(t, "lines are not counted", func() bool { return look("a").requests == 2 })
	got := look("a")
	if got.denied != 2 || got.denials[0].Method != "PUT" || got.denials[0].URL != "https://x.example.com:8080/p" || got.denials[0].ID == got.denials[1].ID {
		t.Errorf("%+v", got)
	}
	if n := d.begun(); n != 1 {
		t.Errorf("the log was asked for %d times", n)
	}
	d.cut <- struct{}{}
	until(t, "a new sidecar is not followed", func() bool { look("b"); return d.begun() == 2 })
	d.lines <- line
	until(t, "it does not go on", func() bool { return look("b").requests == 3 })
	if err := f.problems(false); err != nil {
		t.Errorf("once is no problem: %v", err)
	}
	d.mu.Lock()
	d.fails = errors.New("no log")
	d.mu.Unlock()
	d.cut <- struct{}{}
	until(t, "what cannot be read is not told of", func() bool { look("b"); return f.problems(false) != nil })
	d.mu.Lock()
	d.fails = nil
	d.mu.Unlock()
	until(t, "what can be read again is told of", func() bool { look("b"); return f.problems(false) == nil })
	none := oneBottle(d, "")
	none.seen = nil
	if got := f.follow(none, nil, 0); len(got) != 0 || len(f.streams) != 0 {
		t.Errorf("what is gone is counted: %v", got)
	}
}

// A bottle that was made anew is counted anew.
func TestTallyBeginsAnew(t *testing.T) {
	y := newTally(devID, egress.LogAccess)
	write := func(at int64, line string) {
		y.replied, y.rest = false, nil
		if _, err := fmt.Fprintf(y, `{"ok":true,"data":{"at":%d,"end":99}}`+"\n%s\n", at, line); err != nil {
			t.Fatal(err)
		}
	}
	const line = `{"host":"x.example.com","port":443,"method":"GET","verdict":"allowed","sent":5}`
	write(0, line)
	write(y.at, line)
	if y.requests != 2 || y.bytes != 10 {
		t.Errorf("%+v", y.counts)
	}
	write(0, line)
	if y.requests != 1 || y.bytes != 5 {
		t.Errorf("%+v", y.counts)
	}
}

// What no rule explains has its words with it, and a tunnel or a name is asked for
// as what would follow.
func TestDenials(t *testing.T) {
	for line, want := range map[string][2]string{
		`{"host":"x.example.com","port":443,"method":"CONNECT","verdict":"denied"}`:           {"GET", ""},
		`{"host":"x.example.com","method":"DNS","verdict":"denied"}`:                          {"GET", ""},
		`{"host":"x.example.com","port":80,"method":"-v\u001b","verdict":"denied"}`:           {"GET", ""},
		`{"host":"x.example.com","port":443,"method":"DELETE","path":"/","verdict":"denied"}`: {"DELETE", ""},
		`{"method":"GET","verdict":"denied","reason":"not a host"}`:                           {"GET", "not a host"},
	} {
		y := newTally(devID, egress.LogAccess)
		y.line([]byte(line))
		if len(y.denials) != 1 || y.denials[0].Method != want[0] || (y.denials[0].Whole == "") != (want[1] == "") {
			t.Errorf("%s is %+v", line, y.denials)
		}
	}
}

// Agents are measured now and then, not at every look, and once is no failure.
func TestMeter(t *testing.T) {
	d := &logging{fails: errors.New("gone")}
	var m meter
	p := oneBottle(d, "a")
	key := logKey{devID, "fake", ""}
	for range 5 {
		if got := m.read(t.Context(), p, nil); got[key] != 7 {
			t.Errorf("%v", got)
		}
	}
	if d.measured != 1 || m.err != nil {
		t.Errorf("%d times, %v", d.measured, m.err)
	}
	m.at = time.Now().Add(-meterEvery)
	m.read(t.Context(), p, nil)
	if d.measured != 2 || m.err == nil {
		t.Errorf("%d times, %v", d.measured, m.err)
	}
}
