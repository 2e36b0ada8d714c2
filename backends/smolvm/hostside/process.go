package hostside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// firstWord is how long a sidecar may take to say that it listens.
const firstWord = 20 * time.Second

// home is the directory of one sidecar. What bb believes lies in it, out of the
// sidecar's reach; in own the sidecar is at home, and everything there may be the
// work of one that was taken over. Into the door's directory it can put sockets
// and nothing else: a link there would lead a machine to a socket of the host.
type home string

func (h home) file(name string) string { return filepath.Join(string(h), name) }

func (h home) door() string { return filepath.Join(string(h), "d", "s") }

func (h home) own(names ...string) string {
	return filepath.Join(append([]string{string(h), "w"}, names...)...)
}

func (h home) control() string { return h.own("c", "s") }

func (h home) log() string { return h.own("log") }

// Places are where a sidecar has its things.
type Places struct{ Door, Control, CA, Pipelock, Log string }

// Here are those of the sidecar that this process is.
func Here() (Places, error) {
	dir, err := os.Getwd()
	h := home(filepath.Dir(dir))
	return Places{h.door(), h.control(), h.own("ca"), h.own("pipelock"), h.log()}, err
}

// start starts the sidecar unless it runs and speaks. The caller holds its lock.
func (s *Sidecars) start(ctx context.Context, h home, id spec.ID, r record) error {
	p, err := serving(h)
	if err != nil || p.PID != 0 && lastLine(h) != nil {
		return err
	}
	if err := end(ctx, h); err != nil { // one that never spoke, or speaks for itself
		return err
	}
	if err := s.program(id, r.Image); err != nil {
		return err
	}
	if err := errors.Join(private(filepath.Dir(h.door())), private(h.own())); err != nil {
		return err
	}
	// Words of an earlier life do not count, and may tell why it ended.
	if err := gone(os.Rename(h.log(), h.log()+".before")); err != nil {
		return err
	}
	key := "" // another one for each life
	if r.Keyed {
		key = egress.NewControlKey()
		if err := replace(h.file(keyFile), []byte(key)); err != nil {
			return err
		}
	}
	sealDescriptors()
	args := []string{"sidecar", "host"}
	if r.Pipelock != "" {
		args = append(args, "--pipelock", r.Pipelock)
	}
	said := &bytes.Buffer{}
	cmd, err := begin(func() *exec.Cmd {
		// It is at home in its directory: no argument names it.
		cmd := exec.Command(s.at(r.Image), args...)
		cmd.Dir, cmd.Env = h.own(), []string{"BB_INSTANCE=" + id.Name(), "HOME=/nonexistent"}
		cmd.Stdin = strings.NewReader(key) // where nobody else can read it
		cmd.Stderr = said                  // until it is confined
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return cmd
	})
	if err != nil {
		return diag.Errorf("the sidecar of %s cannot be started: %v", id, diag.Cause(err))
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	if err := await(ctx, h, ended); err != nil {
		_ = cmd.Process.Kill()
		<-ended
		if errors.Is(err, ctx.Err()) {
			return err
		}
		text := bytes.TrimSpace(said.Bytes())
		if len(text) == 0 {
			text = lastText(h)
		}
		return diag.Errorf("the sidecar of %s did not come up: %v%s", id, err, quoted(text)).WithHint("%s says more", h.log())
	}
	return nil
}

// begin starts a program that was just written: a process that this one forked
// for another purpose may hold the file open for writing until it execs.
func begin(command func() *exec.Cmd) (*exec.Cmd, error) {
	for n := 0; ; n++ {
		cmd := command()
		err := cmd.Start()
		if n == 100 || !errors.Is(err, syscall.ETXTBSY) {
			return cmd, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func quoted(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	return "; it said: " + string(text[:min(len(text), 1<<10)])
}

// await returns when the sidecar has said its first word.
func await(ctx context.Context, h home, ended <-chan struct{}) error {
	late := time.After(firstWord)
	for {
		if lastLine(h) != nil {
			return nil
		}
		select {
		case <-ended:
			return errors.New("it ended at once")
		case <-late:
			return fmt.Errorf("it said nothing within %s", firstWord)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// hold takes the turn of an instance.
func hold(ctx context.Context, h home) (func(), error) {
	f, err := os.OpenFile(h.file(lockFile), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
