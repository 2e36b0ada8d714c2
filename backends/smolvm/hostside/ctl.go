package hostside

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// ctl talks to the sidecar by its own program, as through an engine: another
// version of bb may run here, and the one that speaks hardens itself first.
func (s *Sidecars) ctl(ctx context.Context, id spec.ID, stdin io.Reader, stdout io.Writer, args ...string) error {
	h := s.home(id)
	var r record
	if err := read(h.file(recordFile), &r); err != nil {
		if gone(err) == nil {
			return missing(id)
		}
		return err
	}
	if p, err := serving(h); err != nil {
		return err
	} else if p.PID == 0 {
		return diag.Errorf("sidecar of %s does not run", id).WithHint("'bb apply' starts it")
	}
	said := &bytes.Buffer{}
	sealDescriptors()
	reach := []string{"sidecar", "ctl", "--control", h.control()}
	if r.Keyed {
		reach = append(reach, "--key", h.file(keyFile)) // its place, never the key: others see arguments
	}
	cmd := exec.CommandContext(ctx, s.at(r.Image), append(reach, args...)...)
	cmd.Dir, cmd.Env = "/", []string{"HOME=/nonexistent"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = stdin, stdout, said, time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		text := strings.TrimPrefix(strings.TrimSpace(said.String()), "bb: ")
		if text == "" {
			text = diag.Cause(err).Error()
		}
		return diag.Errorf("sidecar of %s: %s", id, text[:min(len(text), 4<<10)])
	}
	return nil
}

// Control sends a command with its document and returns the reply line.
func (s *Sidecars) Control(ctx context.Context, id spec.ID, verb string, document []byte) ([]byte, error) {
	out := &bytes.Buffer{}
	err := s.ctl(ctx, id, bytes.NewReader(document), out, verb)
	return bytes.TrimSpace(out.Bytes()), err
}

// ControlStream carries a conversation until either end closes.
func (s *Sidecars) ControlStream(ctx context.Context, id spec.ID, verb string, stdin io.Reader, stdout io.Writer) error {
	return s.ctl(ctx, id, stdin, stdout, verb)
}

// AccessLog copies one of the sidecar's logs, after the reply line.
func (s *Sidecars) AccessLog(ctx context.Context, id spec.ID, r egress.LogRequest, w io.Writer) error {
	args := []string{"log", "--since", strconv.FormatInt(r.Since, 10)}
	if r.Log != "" {
		args = append(args, "--log", r.Log)
	}
	var in io.Reader = bytes.NewReader(nil)
	if r.Follow {
		hold, end, err := os.Pipe()
		if err != nil {
			return err
		}
		defer hold.Close()
		defer end.Close()
		args, in = append(args, "--follow"), hold
	}
	err := s.ctl(ctx, id, in, w, args...)
	if err != nil && ctx.Err() != nil {
		return nil
	}
	return err
}
