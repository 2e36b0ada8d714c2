package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// listTime is how long a sidecar may take to tell what waits, or that an answer
// counts.
const listTime = 15 * time.Second

// silence is how long it may say nothing later: it says every 20 seconds that it
// goes on.
const silence = time.Minute

// maxEvent bounds a line of a sidecar.
const maxEvent = 256 << 10

// talk is a conversation with one sidecar about what waits.
type talk struct {
	id     spec.ID
	in     *io.PipeWriter
	events chan egress.SuperviseEvent
	done   chan error // one, when events is closed
	cancel context.CancelFunc
}

// newTalk begins one.
func newTalk(ctx context.Context, d backends.Driver, id spec.ID) *talk {
	ctx, cancel := context.WithCancel(ctx)
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	t := &talk{id, in, make(chan egress.SuperviseEvent, 16), make(chan error, 1), cancel}
	go func() {
		err := d.ControlStream(ctx, id, "supervise", stdin, stdout)
		_ = stdout.CloseWithError(err)
		_ = stdin.Close()
	}()
	go func() {
		t.done <- t.read(ctx, out)
		_ = out.Close() // who still writes is done too
		close(t.events)
	}()
	return t
}

// read passes on what the sidecar says, until it ends, and says why.
func (t *talk) read(ctx context.Context, out io.Reader) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxEvent)
	replied := false
	for lines.Scan() {
		if !replied {
			var reply egress.Reply
			if json.Unmarshal(lines.Bytes(), &reply) != nil || !reply.OK {
				return diag.Errorf("the sidecar of %s does not tell what waits: %s", t.id, its(reply.Error))
			}
			replied = true
			continue
		}
		var e egress.SuperviseEvent
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			return diag.Errorf("the sidecar of %s says what bb does not understand", t.id).WithHint("bb apply brings it to this version")
		}
		if e.Ended != "" {
			return diag.Errorf("the sidecar of %s ended the conversation: %s", t.id, its(e.Ended))
		}
		select {
		case t.events <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s does not tell what waits: %w", t.id, err)
	}
	return diag.Errorf("the sidecar of %s ended the conversation", t.id)
}

// its are words of a sidecar's within a line of bb's.
func its(text string) string { return view.Cut(view.OneLine(text), 300) }

func (t *talk) close() {
	t.cancel()
	_ = t.in.Close()
}

// next is the next thing that it says.
func (t *talk) next(ctx context.Context) (egress.SuperviseEvent, error) {
	select {
	case e, ok := <-t.events:
		if !ok {
			err := <-t.done
			t.done <- err // for who asks again
			return e, err
		}
		return e, nil
	case <-ctx.Done():
		return egress.SuperviseEvent{}, ctx.Err()
	}
}

// late is a silent sidecar's error.
func (t *talk) late(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return tooSilent(t.id)
	}
	return err
}

func tooSilent(id spec.ID) error {
	return diag.Errorf("the sidecar of %s is silent: what waits there is not known", id).WithHint("bb logs %s --sidecar", id)
}

// answer sends a person's word and waits until it counts.
func (t *talk) answer(ctx context.Context, a egress.Answer) error {
	for listed := false; !listed; {
		e, err := t.next(ctx)
		if err != nil {
			return t.late(err)
		}
		listed = e.Listed
	}
	if err := json.NewEncoder(t.in).Encode(a); err != nil {
		return t.late(contextErr(ctx, err))
	}
	for {
		e, err := t.next(ctx)
		switch {
		case err != nil:
			return t.late(err)
		case e.Gone == a.ID:
			return nil
		case strings.HasPrefix(e.Refused, a.ID):
			return diag.Errorf("it waits no more: somebody answered, or nobody waits")
		}
	}
}

// tell gives one sidecar a person's word.
func tell(ctx context.Context, d backends.Driver, id spec.ID, a egress.Answer) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	t := newTalk(ctx, d, id)
	defer t.close()
	return t.answer(ctx, a)
}
