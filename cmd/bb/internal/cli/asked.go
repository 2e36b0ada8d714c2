package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// listTime is how long a sidecar may take to tell what waits.
const listTime = 15 * time.Second

// maxEvent bounds a line of a sidecar.
const maxEvent = 256 << 10

// asked is a proposal that waits, with what bb says of it.
type asked struct {
	Proposal egress.Proposal `json:"proposal"`
	Bottle   string          `json:"bottle"`
	Labels   []string        `json:"labels,omitempty"`
	Digest   string          `json:"digest"`

	id   spec.ID
	spec *spec.Spec
}

// talk is a conversation with one sidecar about what waits.
type talk struct {
	in     *io.PipeWriter
	events chan egress.SuperviseEvent
	done   chan error
	cancel context.CancelFunc
}

// newTalk begins one.
func newTalk(ctx context.Context, d backends.Driver, id spec.ID) *talk {
	ctx, cancel := context.WithCancel(ctx)
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	t := &talk{in, make(chan egress.SuperviseEvent, 16), make(chan error, 1), cancel}
	go func() {
		err := d.ControlStream(ctx, id, "supervise", stdin, stdout)
		_ = stdout.CloseWithError(err)
		_ = stdin.Close()
	}()
	go func() {
		defer close(t.events)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, maxEvent)
		replied := false
		for lines.Scan() {
			if !replied {
				var reply egress.Reply
				if json.Unmarshal(lines.Bytes(), &reply) != nil || !reply.OK {
					t.done <- diag.Errorf("the sidecar of %s does not tell what waits: %s", id, reply.Error)
					return
				}
				replied = true
				continue
			}
			var e egress.SuperviseEvent
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				break
			}
			select {
			case t.events <- e:
			case <-ctx.Done():
				return
			}
		}
		if err := lines.Err(); err != nil && ctx.Err() == nil {
			t.done <- fmt.Errorf("%s does not tell what waits: %w", id, err)
			return
		}
		t.done <- diag.Errorf("the sidecar of %s ended the conversation", id)
	}()
	return t
}

func (t *talk) close() {
	t.cancel()
	_ = t.in.Close()
}

// next is the next thing that it says.
func (t *talk) next(ctx context.Context) (egress.SuperviseEvent, error) {
	select {
	case e, ok := <-t.events:
		if !ok {
			return e, <-t.done
		}
		return e, nil
	case <-ctx.Done():
		return egress.SuperviseEvent{}, ctx.Err()
	}
}

// listed reads until all that waits was told.
func (t *talk) listed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	for {
		e, err := t.next(ctx)
		if err != nil || e.Listed {
			return err
		}
	}
}

// answer sends a person's word and waits until it counts.
func (t *talk) answer(ctx context.Context, a egress.Answer) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	if err := json.NewEncoder(t.in).Encode(a); err != nil {
		return err
	}
	for {
		e, err := t.next(ctx)
		switch {
		case err != nil:
			return err
		case e.Gone == a.ID:
			return nil
		case strings.HasPrefix(e.Refused, a.ID):
			return diag.Errorf("it waits no more: somebody answered, or nobody waits")
		}
	}
}

// tell gives one sidecar a person's word.
func tell(ctx context.Context, d backends.Driver, id spec.ID, a egress.Answer) error {
	t := newTalk(ctx, d, id)
	defer t.close()
	if err := t.listed(ctx); err != nil {
		return err
	}
	return t.answer(ctx, a)
}

// waiting lists what waits of all bottles in view that are supervised, oldest
// first. Those whose sidecar does not answer are told of.
func (p *planning) waiting(ctx context.Context) ([]asked, error) {
	w := newWatching(ctx)
	defer w.close()
	return w.list(p)
}

// specFor is what the manifests want of an instance, one for a session too; nil
// for what they know nothing of.
func (p *planning) specFor(id spec.ID) *spec.Spec {
	if i := slices.IndexFunc(p.specs, func(s *spec.Spec) bool { return s.ID == id }); i >= 0 {
		return p.specs[i]
	}
	r, err := p.beside(id)
	if err != nil {
		return nil
	}
	return r.Specs[0]
}

// beside is what an agent's manifests want of an instance that is not declared:
// one that bb start made.
func (p *planning) beside(id spec.ID) (compile.Result, error) {
	if r, ok := p.others[id]; ok {
		return r, nil
	}
	for _, agent := range p.fleet.Agents {
		if agent.Name != id.Agent || p.scopes.byManifest()[agent.Scope] != id.Scope || !isAdHoc(id.Replica) {
			continue
		}
		r, problems := compile.AdHoc(agent, p.options, id.Replica)
		if err := problems.Err(); err != nil {
			return r, err
		}
		if err := p.approve(r.Specs[0]); err != nil {
			return r, err
		}
		if p.others == nil {
			p.others = map[spec.ID]compile.Result{}
		}
		p.others[id] = r
		return r, nil
	}
	return compile.Result{}, diag.Errorf("no bottle %q", id.String()).WithHint("bb ps lists those that are there")
}

// one finds what waits by the beginning of its id.
func (p *planning) one(ctx context.Context, name string) (asked, error) {
	all, err := p.waiting(ctx)
	var found []asked
	for _, x := range all {
		if strings.HasPrefix(x.Proposal.ID, name) {
			found = append(found, x)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return asked{}, diag.Errorf("%d proposals begin with %s", len(found), name).WithHint("name more of the one")
	case err != nil:
		return asked{}, err
	}
	return asked{}, diag.Errorf("nothing that waits is called %s", name).WithHint("bb supervise lists what does")
}
