package hostside

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// Logs copies what the sidecar said, and what the one before it said.
func (s *Sidecars) Logs(ctx context.Context, id spec.ID, r backends.LogRequest, w io.Writer) error {
	h := s.home(id)
	before, err := readLog(h.log() + ".before")
	if gone(err) != nil {
		return err
	}
	now, err := readLog(h.log())
	if gone(err) != nil {
		return err
	}
	all := append(before, now...)
	if r.Tail > 0 {
		all = lastLines(all, r.Tail)
	}
	if _, err := w.Write(all); err != nil || !r.Follow {
		return err
	}
	return follow(ctx, h.log(), int64(len(now)), w)
}

// follow copies what is added to a log until ctx ends. One that was begun anew
// is copied from its beginning.
func follow(ctx context.Context, path string, at int64, w io.Writer) error {
	for {
		f, err := openLog(path)
		if gone(err) != nil {
			return err
		}
		if err == nil {
			if info, err := f.Stat(); err == nil && info.Size() < at {
				at = 0
			}
			n, err := io.Copy(w, io.NewSectionReader(f, at, 1<<20))
			at += n
			if err = errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func lastLines(b []byte, n int) []byte {
	for i := len(b) - 2; i >= 0; i-- {
		if b[i] == '\n' {
			if n--; n == 0 {
				return b[i+1:]
			}
		}
	}
	return b
}

// lastLine is the newest state line of the log.
func lastLine(h home) *egress.StateLine {
	b, err := readLog(h.log())
	if err != nil {
		return nil
	}
	var last *egress.StateLine
	for line := range bytes.Lines(b) {
		var s egress.StateLine
		if json.Unmarshal(line, &s) == nil && s.Version != 0 && s.State != "" {
			last = &s
		}
	}
	return last
}

// maxLog is more than a sidecar keeps.
const maxLog = 1 << 20

// readLog reads a log, which may be anything that the sidecar made of it.
func readLog(path string) ([]byte, error) {
	f, err := openLog(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxLog))
}

func openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no log", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lastText is the end of the log.
func lastText(h home) []byte {
	b, _ := readLog(h.log())
	return bytes.TrimSpace(b[max(0, len(b)-1<<10):])
}
