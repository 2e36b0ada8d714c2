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
	text, err := d.log(id, r.Log)
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
		if text, err = d.log(id, r.Log); err != nil || at > int64(len(text)) {
			return err
		}
	}
}

func (d *Driver) log(id spec.ID, name string) ([]byte, error) {
	var text bytes.Buffer
	err := d.view(func(w *File) error {
		c, err := d.ours(w, id, spec.RoleSidecar)
		if err != nil {
			return err
		}
		if !c.Running {
			return errors.New("the sidecar does not run")
		}
		lines, ok := map[string][]json.RawMessage{egress.LogAccess: c.Access, egress.LogGit: c.Pushes}[name]
		if !ok {
			return errors.New("there is no such log")
		}
		for _, line := range lines {
			if err := json.Compact(&text, line); err != nil {
				return err
			}
			text.WriteByte('\n')
		}
		return nil
	})
	return text.Bytes(), err
}
