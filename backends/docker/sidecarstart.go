package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// firstWord is how long a started sidecar may take to say that it listens.
const firstWord = 20 * time.Second

// maxStateLine is what a state line may measure, and a bit more.
const maxStateLine = 16 << 10

// StartSidecar starts a sidecar that exists and waits for its first word.
func (d *Driver) StartSidecar(ctx context.Context, s *spec.Spec) error {
	c, err := d.find(ctx, s.ID, spec.RoleSidecar)
	if err != nil {
		return err
	}
	if c == nil {
		return diag.Errorf("sidecar %s does not exist", s.ID.Sidecar()).WithHint("'bb apply' creates it")
	}
	return d.startSidecar(ctx, c)
}

func (d *Driver) startSidecar(ctx context.Context, c *container.InspectResponse) error {
	name := trimName(c.Name)
	if !c.State.Running || c.State.Restarting {
		if err := d.engine.ContainerStart(ctx, c.ID, container.StartOptions{}); err != nil {
			return d.wrap(err, "start sidecar %s", name)
		}
	}
	// Words of an earlier life do not count. The start's own time would not do:
	// a program may speak before the engine has noted when it began.
	since := ""
	if ended, err := time.Parse(time.RFC3339Nano, c.State.FinishedAt); err == nil && ended.Year() > 1 {
		since = c.State.FinishedAt
	}
	return d.awaitState(ctx, c.ID, name, since)
}

// awaitState reads the sidecar's output until a state line of this start.
func (d *Driver) awaitState(ctx context.Context, id, name, since string) error {
	ctx, cancel := context.WithTimeout(ctx, firstWord)
	defer cancel()
	logs, err := d.engine.ContainerLogs(ctx, id, container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: true, Since: since,
	})
	if err != nil {
		return d.wrap(err, "sidecar %s", name)
	}
	defer logs.Close()
	out, lines := io.Pipe()
	said := &guest.Tail{Limit: 4 << 10}
	go func() {
		_, err := stdcopy.StdCopy(lines, said, logs)
		lines.CloseWithError(err)
	}()
	defer out.Close()
	for s := stateScanner(out); s.Scan(); {
		if state := parseState(s.Bytes()); state != nil {
			return nil
		}
		fmt.Fprintln(said, s.Text())
	}
	why := "it ended"
	if ctx.Err() != nil {
		why = fmt.Sprintf("it said nothing within %s", firstWord)
	}
	text := fmt.Sprintf("sidecar %s did not come up: %s", name, why)
	if last := lastLines(said.String(), shownLines); last != "" {
		text += "; it said:\n" + last
	}
	return diag.Errorf("%s", text)
}

// lastState is the newest state line of a running sidecar, nil if it has not
// spoken. A few lines are read: tail counts standard error too.
func (d *Driver) lastState(ctx context.Context, id, name string) (*egress.StateLine, error) {
	logs, err := d.engine.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, Tail: "8"})
	switch {
	case errdefs.IsNotFound(err), errdefs.IsConflict(err):
		return nil, nil // removed since it was listed, or being removed
	case err != nil:
		return nil, d.wrap(err, "sidecar %s", name)
	}
	defer logs.Close()
	var out strings.Builder
	if _, err := stdcopy.StdCopy(&out, io.Discard, io.LimitReader(logs, 16*maxStateLine)); err != nil {
		return nil, d.wrap(err, "sidecar %s", name)
	}
	var last *egress.StateLine
	for s := stateScanner(strings.NewReader(out.String())); s.Scan(); {
		if state := parseState(s.Bytes()); state != nil {
			last = state
		}
	}
	return last, nil
}

func stateScanner(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxStateLine)
	return s
}

func parseState(line []byte) *egress.StateLine {
	var s egress.StateLine
	if json.Unmarshal(line, &s) != nil || s.Version == 0 || s.State == "" {
		return nil
	}
	return &s
}
