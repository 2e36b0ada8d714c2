package view

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/apply"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/plan/plantest"
)

// terminal shows what a person sees: it understands what Screen writes, wraps
// long lines, and cannot move to what has scrolled off.
type terminal struct {
	t             *testing.T
	width, height int
	mu            sync.Mutex
	rows          []string
	row, col      int
}

var (
	up    = regexp.MustCompile(`^\x1b\[(\d+)A`)
	erase = "\x1b[J"
)

func (x *terminal) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for s := string(b); s != ""; {
		switch m := up.FindStringSubmatch(s); {
		case m != nil:
			n, _ := strconv.Atoi(m[1])
			x.row = max(x.row-n, len(x.rows)-x.height, 0)
			s = s[len(m[0]):]
		case strings.HasPrefix(s, erase):
			x.rows[x.row] = x.rows[x.row][:min(x.col, len(x.rows[x.row]))]
			x.rows = x.rows[:x.row+1]
			s = s[len(erase):]
		case s[0] == '\x1b':
			x.t.Errorf("unknown sequence %q", s[:min(len(s), 8)])
			return len(b), nil
		default:
			x.put(s[0])
			s = s[1:]
		}
	}
	return len(b), nil
}

func (x *terminal) put(c byte) {
	for x.row >= len(x.rows) {
		x.rows = append(x.rows, "")
	}
	switch c {
	case '\r':
		x.col = 0
	case '\n':
		x.row, x.col = x.row+1, 0
		x.rows = append(x.rows[:max(x.row, len(x.rows))], make([]string, max(0, x.row+1-len(x.rows)))...)
	default:
		if x.col == x.width {
			x.put('\n')
		}
		line := fmt.Sprintf("%-*s", x.col, x.rows[x.row])
		x.rows[x.row] = line[:x.col] + string(c) + line[min(len(line), x.col+1):]
		x.col++
	}
}

func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.TrimRight(strings.Join(x.rows, "\n"), "\n") + "\n"
}

// watched is a progress on a terminal, with a clock that the test moves.
func watched(t *testing.T, width, height int) (*terminal, *Progress, func(time.Duration)) {
	x := &terminal{t: t, width: width, height: height, rows: []string{""}}
	clock := time.Unix(0, 0)
	p := newProgress(NewScreen(x, func() int { return width }), func() time.Time { return clock }, time.NewTicker(time.Hour))
	return x, p, func(d time.Duration) { clock = clock.Add(d); p.redraw() }
}

func step(number int, op plan.Op, agent string) plan.Node {
	return plan.Node{ID: number, Op: op, Instance: id(agent), Backend: "docker"}
}

// TestScreenOverTime: what stands on the terminal at each moment.
func TestScreenOverTime(t *testing.T) {
	x, p, wait := watched(t, 40, 10)
	see := func(want string) {
		t.Helper()
		if d := cmp.Diff(want, x.text()); d != "" {
			t.Error(d)
		}
	}
	one, two := step(1, plan.OpStartAgent, "one"), step(2, plan.OpCreateAgent, "a-bottle-with-a-very-long-name")
	p.On(apply.Event{Node: one, Status: apply.Started})
	p.On(apply.Event{Node: two, Status: apply.Started})
	wait(1500 * time.Millisecond)
	see("  one: starting the bottle... 1.5s\n  a-bottle-with-a-very-long-name: creat\n")
	wait(1500 * time.Millisecond)
	see("  one: starting the bottle... 3.0s\n  a-bottle-with-a-very-long-name: creat\n")
	p.On(apply.Event{Node: one, Status: apply.Done, Elapsed: 3 * time.Second})
	wait(0)
	see("one: starting the bottle took 3s\none: started\n  a-bottle-with-a-very-long-name: creat\n")
	fmt.Fprint(p.screen, "half a ")
	fmt.Fprintln(p.screen, "line from somebody else, longer than the terminal")
	wait(0)
	see("one: starting the bottle took 3s\none: started\nhalf a line from somebody else, longer t\nhan the terminal\n  a-bottle-with-a-very-long-name: creat\n")
	p.On(apply.Event{Node: two, Status: apply.Failed, Err: errors.New("x")})
	p.Close()
	see("one: starting the bottle took 3s\none: started\nhalf a line from somebody else, longer t\nhan the terminal\na-bottle-with-a-very-long-name: creating\n the bottle failed\n")
}

// TestManyAtOnce: more under way than the terminal has lines leaves none behind.
func TestManyAtOnce(t *testing.T) {
	x, p, wait := watched(t, 80, 12)
	fmt.Fprintln(p.screen, "before")
	for i := range 30 {
		p.On(apply.Event{Node: step(i+1, plan.OpCreateAgent, fmt.Sprint("a", i)), Status: apply.Started})
	}
	for range 5 {
		wait(time.Second)
	}
	if got := x.text(); strings.Count(got, "creating") != mostLive || !strings.HasSuffix(got, "  and 22 more\n") || !strings.HasPrefix(got, "before\n") {
		t.Error(got)
	}
	p.Close()
	if got := x.text(); got != "before\n" {
		t.Errorf("left behind:\n%s", got)
	}
}

// TestScreenOfAnyApply: whatever an apply does, at its end a terminal shows
// exactly what a file would hold: no line is lost, left over or out of order.
func TestScreenOfAnyApply(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		d, worlds := plantest.Random(rng)
		p := plan.Diff(d, worlds)
		x, screen, wait := watched(t, 1000, 60)
		var file strings.Builder
		log := newProgress(NewScreen(&file, nil), time.Now, time.NewTicker(time.Hour))
		_, _ = apply.Run(t.Context(), p, func(_ context.Context, n plan.Node) error {
			if n.ID%7 == int(seed%7) {
				return errors.New("fault")
			}
			return nil
		}, apply.Options{Parallel: 1 + rng.IntN(20), On: func(e apply.Event) {
			e.Elapsed = time.Duration(e.Node.ID%3) * 1500 * time.Millisecond
			screen.On(e)
			log.On(e)
			if rng.IntN(2) == 0 {
				wait(100 * time.Millisecond)
			}
		}})
		screen.Close()
		log.Close()
		want := file.String()
		if want == "" {
			want = "\n"
		}
		if diff := cmp.Diff(want, x.text()); diff != "" {
			t.Fatalf("seed %d (-file +terminal):\n%s", seed, diff)
		}
	}
}

// TestProgressEscapes: the name of an image is a manifest's, and must not
// drive the terminal.
func TestProgressEscapes(t *testing.T) {
	x, p, wait := watched(t, 80, 10)
	s := plantest.Spec("dev")
	s.Image.Name, s.Image.Ref = "", "evil\x1b[2J"
	n := plan.Node{ID: 1, Op: plan.OpEnsureImage, Instance: s.ID, Spec: s}
	p.On(apply.Event{Node: n, Status: apply.Started})
	wait(time.Second)
	p.On(apply.Event{Node: n, Status: apply.Failed, Err: errors.New("x")})
	p.Close()
	if want := `image evil\u001b[2J: making sure of the image failed` + "\n"; x.text() != want {
		t.Errorf("%q", x.text())
	}
}
