package smolvm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// plainSidecars run the real sidecar without any confinement: for tests of the
// driver alone.
type plainSidecars struct {
	t   testing.TB
	dir string

	mu      sync.Mutex
	running map[spec.ID]*plainSidecar
	altered map[spec.ID]bool
	made    map[spec.ID]string // images
	image   string             // "" is the usual one
	orphans []backends.Orphan
}

type plainSidecar struct {
	cmd  *exec.Cmd
	ref  string
	done chan struct{}
}

func newSidecars(t testing.TB) *plainSidecars {
	dir, err := os.MkdirTemp("", "bb-sc-") //nolint:usetesting // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	s := &plainSidecars{t: t, dir: dir, running: map[spec.ID]*plainSidecar{}, altered: map[spec.ID]bool{}, made: map[spec.ID]string{}}
	t.Cleanup(func() {
		for id := range s.running {
			s.stop(id)
		}
		_ = os.RemoveAll(dir)
	})
	return s
}

func (p *plainSidecars) at(id spec.ID, names ...string) string {
	return filepath.Join(append([]string{p.dir, id.Name()}, names...)...)
}

func (p *plainSidecars) Check(*spec.Spec) error { return nil }
func (p *plainSidecars) Image() string          { return cmp.Or(p.image, "plain") }
func (p *plainSidecars) Door(id spec.ID) string { return p.at(id, "d", "s") }

func (p *plainSidecars) alive(id spec.ID) *plainSidecar {
	x := p.running[id]
	if x == nil {
		return nil
	}
	select {
	case <-x.done:
		return nil
	default:
		return x
	}
}

func (p *plainSidecars) List(context.Context) ([]Sidecar, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Sidecar
	dirs, err := os.ReadDir(p.dir)
	for _, e := range dirs {
		var id spec.ID
		b, readErr := os.ReadFile(filepath.Join(p.dir, e.Name(), "id"))
		err = errors.Join(err, readErr, json.Unmarshal(b, &id))
		s := Sidecar{ID: id, Leftovers: []string{e.Name()}}
		if x := p.running[id]; x != nil {
			s.Part = &plan.Part{Ref: x.ref, Running: p.alive(id) != nil, Image: p.made[id]}
			if p.altered[id] {
				s.Part.Altered = []string{"somebody's hand"}
			}
			if s.Part.Running {
				s.State = p.state(id)
			}
		}
		out = append(out, s)
	}
	return out, err
}

func (p *plainSidecars) state(id spec.ID) *egress.StateLine {
	b, _ := os.ReadFile(p.at(id, "out"))
	var last *egress.StateLine
	for line := range bytes.Lines(b) {
		s := &egress.StateLine{}
		if json.Unmarshal(line, s) == nil && s.State != "" {
			last = s
		}
	}
	return last
}

func (p *plainSidecars) Ensure(_ context.Context, s *spec.Spec) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alive(s.ID) != nil && !p.altered[s.ID] {
		return nil
	}
	p.stop(s.ID)
	delete(p.altered, s.ID)
	p.made[s.ID] = p.Image()
	b, err := json.Marshal(s.ID)
	if err == nil {
		err = errors.Join(os.MkdirAll(p.at(s.ID), 0o700), os.WriteFile(p.at(s.ID, "id"), b, 0o600))
	}
	if err != nil {
		return err
	}
	return p.start(s.ID, "")
}

func (p *plainSidecars) start(id spec.ID, ref string) error {
	out, err := os.Create(p.at(id, "out"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(testBinary, "sidecar", "run", "--door", p.Door(id), "--control", p.at(id, "c", "c.sock"), "--ca", p.at(id, "ca"))
	cmd.Env = []string{"HOME=/", "BB_INSTANCE=" + id.Name(), "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = out, out
	if err := errors.Join(os.MkdirAll(p.at(id, "c"), 0o700), os.MkdirAll(p.at(id, "d"), 0o700), cmd.Start()); err != nil {
		return err
	}
	x := &plainSidecar{cmd, ref, make(chan struct{})}
	if ref == "" {
		x.ref = strconv.Itoa(cmd.Process.Pid)
	}
	p.running[id] = x
	go func() {
		_ = cmd.Wait()
		close(x.done)
	}()
	for range 500 {
		if p.state(id) != nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	said, _ := os.ReadFile(p.at(id, "out"))
	return errors.New("the sidecar says nothing but " + string(said))
}

func (p *plainSidecars) Start(_ context.Context, id spec.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.running[id]
	if x == nil {
		return errors.New("no sidecar")
	}
	if p.alive(id) != nil {
		return nil
	}
	return p.start(id, x.ref)
}

func (p *plainSidecars) stop(id spec.ID) {
	if x := p.alive(id); x != nil {
		_ = x.cmd.Process.Signal(syscall.SIGKILL)
		<-x.done
	}
}

func (p *plainSidecars) Stop(_ context.Context, id spec.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop(id)
	return nil
}

func (p *plainSidecars) Remove(_ context.Context, id spec.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop(id)
	delete(p.running, id)
	return nil
}

func (p *plainSidecars) RemoveState(_ context.Context, id spec.ID) error {
	return os.RemoveAll(p.at(id))
}

func (p *plainSidecars) Orphans(context.Context) ([]backends.Orphan, error) { return p.orphans, nil }

func (p *plainSidecars) RemoveOrphan(context.Context, backends.Orphan) error { return nil }

func (p *plainSidecars) ctl(ctx context.Context, id spec.ID, in io.Reader, out io.Writer, args ...string) error {
	p.mu.Lock()
	dead := p.alive(id) == nil
	p.mu.Unlock()
	if dead {
		return errors.New("the sidecar does not run")
	}
	cmd := exec.CommandContext(ctx, testBinary, append([]string{"sidecar", "ctl", "--control", p.at(id, "c", "c.sock")}, args...)...)
	said := &bytes.Buffer{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = in, out, said, time.Second
	if err := cmd.Run(); err != nil {
		return errors.Join(err, errors.New(said.String()))
	}
	return nil
}

func (p *plainSidecars) Control(ctx context.Context, id spec.ID, verb string, document []byte) ([]byte, error) {
	out := &bytes.Buffer{}
	err := p.ctl(ctx, id, bytes.NewReader(document), out, verb)
	return bytes.TrimSpace(out.Bytes()), err
}

func (p *plainSidecars) ControlStream(ctx context.Context, id spec.ID, verb string, stdin io.Reader, stdout io.Writer) error {
	return p.ctl(ctx, id, stdin, stdout, verb)
}

func (p *plainSidecars) AccessLog(ctx context.Context, id spec.ID, r egress.LogRequest, w io.Writer) error {
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
		defer context.AfterFunc(ctx, func() { _ = end.Close() })()
		args, in = append(args, "--follow"), hold
	}
	if err := p.ctl(ctx, id, in, w, args...); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (p *plainSidecars) Logs(_ context.Context, id spec.ID, _ backends.LogRequest, w io.Writer) error {
	b, err := os.ReadFile(p.at(id, "out"))
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}
