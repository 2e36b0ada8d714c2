package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// transcriptTime is what reading one may take: an end does not wait for an
// agent that would rather not be read.
const transcriptTime = time.Minute

// keepTranscript keeps what was said in a bottle that is about to end. What
// cannot be kept is told of, and ends nothing.
func (p *planning) keepTranscript(ctx context.Context, n plan.Node) {
	o := p.seenInstance(n)
	if o == nil || o.Agent == nil || o.Agent.Transcript == "" {
		return
	}
	if why := p.unread(o); why != "" {
		if !p.toldOf[o.ID] {
			p.tell(why)
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, transcriptTime)
	defer cancel()
	kept, err := p.state.KeepTranscript(o.ID.Name(), time.Now(), func(w io.Writer) error {
		return p.readTranscript(ctx, o, w)
	})
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("reading them took longer than %s", transcriptTime)
	}
	if line := p.became(o.ID, kept, err); line != "" {
		p.tell(line)
	}
}

// became says what became of a bottle's conversations; "" where there were none.
func (p *planning) became(id spec.ID, kept state.Kept, err error) string {
	left := ""
	if kept.LeftOut > 0 {
		left = fmt.Sprintf("%s, %s (bb keeps the newest %s, and no links)",
			count(kept.LeftOut, "file"), view.Size(kept.LeftOutBytes), view.Size(state.MaxTranscript))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		return fmt.Sprintf("%s: its conversations could not be kept: %s", id, view.Escape(err.Error()))
	case kept.Path == "" && left == "":
		return ""
	case kept.Path == "":
		return fmt.Sprintf("%s: its conversations could not be kept: left out: %s", id, left)
	}
	line := fmt.Sprintf("%s: its conversations are kept in %s", id, p.app.style(p.app.stderr).Path(kept.Path))
	if left != "" {
		line += "; left out: " + left
	}
	return line
}

// unread says why the conversations of a bottle cannot be read, and what there
// is of them; "" where they can.
func (p *planning) unread(o *plan.Instance) string {
	if o.Agent.Running {
		return ""
	}
	if _, ok := p.drivers[o.Backend].(backends.Archiver); ok {
		return ""
	}
	why := fmt.Sprintf("%s: it does not run, and %s reads no bottle that does not: its conversations cannot be kept", o.ID, o.Backend)
	if last, ok := p.state.LastTranscript(o.ID.Name()); ok {
		return why + fmt.Sprintf("; there are those of %s, in %s", last.Time.Local().Format("2006-01-02 15:04"), p.app.style(p.app.stderr).Path(last.Path))
	}
	return why + " (start it first where they matter)"
}

// tellUnread says it before anybody agrees to the end of these bottles.
func (p *planning) tellUnread() {
	p.toldOf = map[spec.ID]bool{}
	for _, c := range p.plan.Changes {
		if !c.Ends() || c.Action == plan.Stop {
			continue
		}
		for _, w := range p.seen { // of a move, the other backend's too
			o := p.seenAs(c.ID, w.Backend)
			if o == nil || o.Agent == nil || o.Agent.Transcript == "" {
				continue
			}
			if why := p.unread(o); why != "" {
				fmt.Fprintln(p.app.stderr, why)
				p.toldOf[o.ID] = true
			}
		}
	}
}

// readTranscript writes it to w in the agent's own words: as the agent's user
// where it runs, by the engine where it does not.
func (p *planning) readTranscript(ctx context.Context, o *plan.Instance, w io.Writer) error {
	d := p.drivers[o.Backend]
	if a, ok := d.(backends.Archiver); ok && !o.Agent.Running {
		return a.Archive(ctx, o.ID, o.Agent.Transcript, w)
	}
	said := &words{}
	code, err := d.Exec(ctx, o.ID, backends.ExecRequest{
		Argv:   []string{spec.BinaryPath, "door", "pack", "--skip", "--optional", "--", o.Agent.Transcript},
		Stdout: w, Stderr: said,
	})
	if err == nil && code != 0 {
		text, _, _ := strings.Cut(said.String(), "\n")
		err = errors.New("the bottle says: " + text)
	}
	return err
}

// seenInstance is what was observed of a node's instance.
func (p *planning) seenInstance(n plan.Node) *plan.Instance { return p.seenAs(n.Instance, n.Backend) }

// seenAs is what was observed of an instance on a backend; nil is nothing.
func (p *planning) seenAs(id spec.ID, backend string) *plan.Instance {
	for _, w := range p.seen {
		if w.Backend != backend {
			continue
		}
		for i := range w.Instances {
			if w.Instances[i].ID == id {
				return &w.Instances[i]
			}
		}
	}
	return nil
}

// tell keeps a line for the end of what is under way.
func (p *planning) tell(line string) {
	p.told.Lock()
	defer p.told.Unlock()
	p.told.lines = append(p.told.lines, line)
}

func (p *planning) tellAll() {
	p.told.Lock()
	defer p.told.Unlock()
	var b bytes.Buffer
	for _, line := range p.told.lines {
		fmt.Fprintln(&b, line)
	}
	p.told.lines = nil
	_, _ = p.app.stderr.Write(b.Bytes())
}
