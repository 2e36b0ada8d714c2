package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// AccessLog writes what a test put into the world; following, also what it puts
// there later.
func (d *Driver) AccessLog(ctx context.Context, id spec.ID, r egress.LogRequest, out io.Writer) error {
	text, err := d.access(id)
	if err != nil {
		return err
	}
	at := r.Since
	if at > int64(len(text)) {
		at = 0
	}
	span, err := json.Marshal(egress.LogSpan{At: at, End: int64(len(text))})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(egress.Reply{OK: true, Data: span}); err != nil {
		return err
	}
	for {
		if _, err := out.Write(text[at:]); err != nil || !r.Follow {
			return err
		}
		at = int64(len(text))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
		if text, err = d.access(id); err != nil || at > int64(len(text)) {
			return err
		}
	}
}

func (d *Driver) access(id spec.ID) ([]byte, error) {
	var text bytes.Buffer
	err := d.view(func(w *File) error {
		c, err := d.ours(w, id, spec.RoleSidecar)
		if err != nil {
			return err
		}
		if !c.Running {
			return errors.New("the sidecar does not run")
		}
		for _, line := range c.Access {
			if err := json.Compact(&text, line); err != nil {
				return err
			}
			text.WriteByte('\n')
		}
		return nil
	})
	return text.Bytes(), err
}
