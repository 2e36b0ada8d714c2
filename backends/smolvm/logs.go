package smolvm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Logs copies the machine's console or the sidecar's output to w, running or
// not.
func (d *Driver) Logs(ctx context.Context, id spec.ID, r backends.LogRequest, w io.Writer) error {
	if r.Sidecar { // it says what upstreams and git say
		return d.opts.Sidecars.Logs(ctx, id, r, &guest.PlainWriter{To: w})
	}
	m, err := d.find(ctx, id)
	if err != nil {
		return err
	}
	if m == nil {
		return diag.Errorf("%s has no %s", id, spec.RoleAgent).WithHint("'bb apply %s' brings it up", id.Agent)
	}
	c, err := d.client(ctx)
	if err != nil {
		return err
	}
	dir, err := c.Dir(ctx, id.Name())
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(dir, "agent-console.log"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it never ran
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return copyLog(ctx, f, r, &guest.PlainWriter{To: w})
}

// copyLog copies the last lines of a file, or all, and what is added to it.
func copyLog(ctx context.Context, f *os.File, r backends.LogRequest, w io.Writer) error {
	if r.Tail > 0 {
		if err := seekLines(f, r.Tail); err != nil {
			return err
		}
	}
	for {
		if _, err := io.Copy(w, f); err != nil || !r.Follow {
			return err
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return nil //nolint:nilerr // the reader has seen enough
		}
	}
}

// maxTail bounds what is read for the last lines.
const maxTail = 4 << 20

func seekLines(f *os.File, n int) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	from := max(0, info.Size()-maxTail)
	b := make([]byte, info.Size()-from)
	if _, err := f.ReadAt(b, from); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	at := len(bytes.TrimSuffix(b, []byte("\n")))
	for ; n > 0 && at >= 0; n-- {
		at = bytes.LastIndexByte(b[:at], '\n')
	}
	_, err = f.Seek(from+int64(at)+1, io.SeekStart)
	return err
}
