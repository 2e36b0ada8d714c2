package view

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/bb/engine/apply"
	"github.com/bot-bottle/bb/engine/plan"
)

var doing = map[plan.Op]string{
	plan.OpPrepare:       "preparing what all bottles share",
	plan.OpEnsureImage:   "making sure of the image",
	plan.OpCreateSidecar: "creating the sidecar",
	plan.OpStartSidecar:  "starting the sidecar",
	plan.OpConfigure:     "configuring the sidecar",
	plan.OpCreateAgent:   "creating the bottle",
	plan.OpStartAgent:    "starting the bottle",
	plan.OpProvision:     "provisioning the bottle",
	plan.OpRemoveAgent:   "removing the bottle",
	plan.OpRemoveSidecar: "removing the sidecar",
	plan.OpRemoveVolumes: "removing its volumes",
	plan.OpStop:          "stopping the bottle",
}

// quick operations are told only when they are slow or fail.
const quick = 2 * time.Second

// patience is after how long an operation under way is told, again and again.
const patience = 10 * time.Second

// Progress tells what is under way, what took long and what failed: on a
// terminal in lines that are redrawn, elsewhere in one line each.
type Progress struct {
	mu      sync.Mutex
	screen  *Screen
	now     func() time.Time
	running map[int]started // by node
	told    map[string]bool
	stop    chan struct{}
	stopped sync.WaitGroup
}

type started struct {
	node plan.Node
	at   time.Time
}

// refresh is how often a terminal is redrawn.
const refresh = 100 * time.Millisecond

// NewProgress writes to the screen until Close.
func NewProgress(screen *Screen) *Progress {
	every := patience
	if screen.redraws() {
		every = refresh
	}
	return newProgress(screen, time.Now, time.NewTicker(every))
}

func newProgress(screen *Screen, now func() time.Time, tick *time.Ticker) *Progress {
	p := &Progress{screen: screen, now: now, running: map[int]started{}, told: map[string]bool{}, stop: make(chan struct{})}
	p.stopped.Go(func() {
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show()
			case <-p.stop:
				return
			}
		}
	})
	return p
}

// Close ends the reports of what is under way.
func (p *Progress) Close() {
	close(p.stop)
	p.stopped.Wait()
	p.screen.Live(nil)
}

// show tells what is under way, in the way that the screen can.
func (p *Progress) show() {
	if p.screen.redraws() {
		p.redraw()
	} else {
		p.still()
	}
}

// still tells what has been under way for long, in the order of the plan.
func (p *Progress) still() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.underWay() {
		if took := p.now().Sub(s.at); took >= patience/2 {
			fmt.Fprintf(p.screen, "%s: still %s... [%s]\n", Escape(s.node.Resource()), doing[s.node.Op], took.Round(time.Second))
		}
	}
}

// redraw shows what is under way now.
func (p *Progress) redraw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var lines []string
	all := p.underWay()
	for _, s := range all[:min(len(all), mostLive)] {
		lines = append(lines, fmt.Sprintf("  %s: %s... %.1fs", Escape(s.node.Resource()), doing[s.node.Op], p.now().Sub(s.at).Seconds()))
	}
	if more := len(all) - mostLive; more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	p.screen.Live(lines)
}

// mostLive bounds the lines that are redrawn: what has scrolled off a small
// terminal cannot be.
const mostLive = 8

func (p *Progress) underWay() []started {
	var list []started
	for _, id := range slices.Sorted(maps.Keys(p.running)) {
		list = append(list, p.running[id])
	}
	return list
}

// On takes one event of an apply.
func (p *Progress) On(e apply.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := Escape(e.Node.Resource())
	if e.Status == apply.Started {
		p.running[e.Node.ID] = started{e.Node, p.now()}
		return
	}
	delete(p.running, e.Node.ID)
	switch e.Status {
	case apply.Done:
		if e.Elapsed >= quick {
			fmt.Fprintf(p.screen, "%s: %s took %s\n", who, doing[e.Node.Op], e.Elapsed.Round(100*time.Millisecond))
		}
		if word := finished[e.Node.Op]; word != "" && !p.told[who+word] {
			p.told[who+word] = true // a claim behind a provision says nothing new
			fmt.Fprintf(p.screen, "%s: %s\n", who, word)
		}
	case apply.Failed:
		fmt.Fprintf(p.screen, "%s: %s failed\n", who, doing[e.Node.Op])
	}
}

var finished = map[plan.Op]string{
	plan.OpStartAgent:    "started",
	plan.OpProvision:     "provisioned",
	plan.OpConfigure:     "sidecar enforces its routes",
	plan.OpRemoveVolumes: "removed",
	plan.OpStop:          "stopped",
}

// event is the JSON form of one step of an apply.
type event struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Backend string `json:"backend"`
	Op      string `json:"op"`
	Status  string `json:"status"`
	Millis  int64  `json:"elapsed_ms"`
	Error   string `json:"error,omitempty"`
}

// JSONProgress prints one JSON object per event.
func JSONProgress(w io.Writer) func(apply.Event) {
	return func(e apply.Event) {
		v := event{
			Type: "step", ID: e.Node.Resource(), Backend: e.Node.Backend, Op: string(e.Node.Op),
			Status: string(e.Status), Millis: e.Elapsed.Milliseconds(),
		}
		if e.Err != nil {
			v.Error = e.Err.Error()
		}
		if b, err := json.Marshal(v); err == nil {
			_, _ = fmt.Fprintln(w, EscapeJSON(string(b))) // a reader that went away ends nothing
		}
	}
}
