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
	ctx, cancel := context.WithTimeout(ctx, transcriptTime)
	defer cancel()
	path, err := p.state.KeepTranscript(o.ID.Name(), time.Now(), func(w io.Writer) error {
		return p.readTranscript(ctx, o, w)
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && path == "":
	case err != nil:
		p.tell(fmt.Sprintf("%s: its conversations could not be kept: %s", o.ID, view.Escape(err.Error())))
	default:
		p.tell(fmt.Sprintf("%s: its conversations are kept in %s", o.ID, p.app.style(p.app.stderr).Path(path)))
	}
}

// readTranscript writes it to w in the agent's own words: as the agent's user
// where it runs, by the engine where it does not.
func (p *planning) readTranscript(ctx context.Context, o *plan.Instance, w io.Writer) error {
	d := p.drivers[o.Backend]
	if !o.Agent.Running {
		if a, ok := d.(backends.Archiver); ok {
			return a.Archive(ctx, o.ID, o.Agent.Transcript, w)
		}
		return nil // it was kept when it was stopped
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
func (p *planning) seenInstance(n plan.Node) *plan.Instance {
	for _, w := range p.seen {
		if w.Backend != n.Backend {
			continue
		}
		for i := range w.Instances {
			if w.Instances[i].ID == n.Instance {
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
