// Package hostside runs the sidecars of micro-VMs as processes of this machine,
// one for each instance: in a session and a 0700 directory of its own, confined
// to that directory, with an environment that is empty but for its instance's
// name, with no descriptor of who started it, and with a key to its control
// socket, which all processes of its user can reach.
package hostside

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/bot-bottle/bb/backends/smolvm"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// maxSocket is what the path of a unix socket may measure on every system, and
// deepest the longest that a sidecar makes below its directory.
const (
	maxSocket = 103
	deepest   = len("/w/c/git/u4294967295/agent")
)

// Options say where sidecars live and what they are made of.
type Options struct {
	// Dir is below the state directory, absolute; made 0700 when it is missing.
	Dir string
	// Self is bb's executable. Sidecars run a copy: it may be replaced meanwhile.
	Self string
	// Version is bb's.
	Version string
	// Pipelock is the program for bottles that want it; "" means that there is
	// none.
	Pipelock string
}

// Sidecars implements smolvm.Sidecars.
type Sidecars struct {
	opts  Options
	image func() (string, error)
}

var _ smolvm.Sidecars = (*Sidecars)(nil)

// New returns the sidecars of a directory. It touches nothing.
func New(o Options) (*Sidecars, error) {
	if !filepath.IsAbs(o.Dir) {
		return nil, fmt.Errorf("hostside: %q is no absolute directory", o.Dir)
	}
	return &Sidecars{opts: o, image: sync.OnceValues(func() (string, error) { return imageOf(o.Self) })}, nil
}

// Used reports whether a directory has sidecars, or what is left of some.
func Used(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return isHome(dir, e) })
}

// record is what a sidecar was made as.
type record struct {
	Ref      string `json:"ref"` // random
	Image    string `json:"image"`
	Version  string `json:"version"`
	Source   string `json:"source,omitempty"`
	Created  int64  `json:"created"` // unix seconds
	Pipelock string `json:"pipelock,omitempty"`
	// Keyed says that it takes commands with its key only; bb of old knew none.
	Keyed bool `json:"keyed,omitempty"`
}

// Names in an instance's directory.
const (
	instanceFile = "instance" // whose it is, as long as anything is left
	recordFile   = "sidecar"  // as long as there is one
	processFile  = "process"  // the one that was started last
	keyFile      = "key"      // to the control socket of the one that was started last
	lockFile     = "lock"     // of who changes anything here
)

// home is an instance's directory: its name is short, since sockets lie in it.
func (s *Sidecars) home(id spec.ID) home {
	sum := sha256.Sum256([]byte(id.Name()))
	return home(filepath.Join(s.opts.Dir, hex.EncodeToString(sum[:6])))
}

// Door is the socket that is lent to the machine, alone in its directory.
func (s *Sidecars) Door(id spec.ID) string { return s.home(id).door() }

// List returns those that there are, with what ended ones left.
func (s *Sidecars) List(context.Context) ([]smolvm.Sidecar, error) {
	entries, err := os.ReadDir(s.opts.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []smolvm.Sidecar
	for _, e := range entries {
		var id spec.ID
		h := home(filepath.Join(s.opts.Dir, e.Name()))
		if read(h.file(instanceFile), &id) != nil || s.home(id) != h {
			continue // no bottle's: see Orphans
		}
		x, lookErr := look(h, id)
		err = errors.Join(err, lookErr)
		out = append(out, x)
	}
	return out, err
}

func look(h home, id spec.ID) (smolvm.Sidecar, error) {
	x := smolvm.Sidecar{ID: id, Leftovers: []string{"directory " + filepath.Base(string(h))}}
	var r record
	if err := read(h.file(recordFile), &r); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return x, err
	}
	p, err := serving(h)
	if err != nil {
		return x, err
	}
	x.Part = &plan.Part{
		Ref: r.Ref, Running: p.PID != 0, Created: r.Created, Image: r.Image,
		Version: r.Version, Source: r.Source, Pipelock: r.Pipelock != "",
	}
	switch left, err := alive(h); {
	case p.PID != 0:
		x.Part.Status = fmt.Sprintf("process %d", p.PID)
		if !p.Since.IsZero() {
			x.Part.Status += " since " + p.Since.Local().Format(time.DateTime)
		}
		x.State = lastLine(h)
	case err != nil:
		return x, err
	case len(left) > 0:
		x.Part.Status = fmt.Sprintf("not running, but process %d of it is", left[0])
	default:
		x.Part.Status = "not running"
	}
	return x, nil
}

// Image names the program and how it is confined.
func (s *Sidecars) Image() string {
	image, err := s.image()
	if err != nil {
		return ""
	}
	return image
}

// Check says what this machine lacks for a sidecar.
func (s *Sidecars) Check(want *spec.Spec) error {
	if n := len(s.home(want.ID)) + deepest; n > maxSocket {
		return diag.Errorf("%s is too long a path for sockets: %d bytes, at most %d", s.opts.Dir, len(s.opts.Dir), len(s.opts.Dir)-n+maxSocket).
			WithHint("set BB_HOME to a shorter path")
	}
	if want.Gate.Pipelock && s.opts.Pipelock == "" {
		return diag.Errorf("%s: there is no pipelock on this machine", want.ID).
			WithHint("install it and set BB_PIPELOCK to the program, or take egress.pipelock out")
	}
	if _, err := s.image(); err != nil {
		return diag.Errorf("sidecar: bb cannot read itself: %v", diag.Cause(err)).WithHint("install bb again")
	}
	return nil
}

// Ensure starts the sidecar of an instance unless the one that fits runs.
func (s *Sidecars) Ensure(ctx context.Context, want *spec.Spec) error {
	if err := s.Check(want); err != nil {
		return err
	}
	made, h := s.record(want), s.home(want.ID)
	if err := errors.Join(private(s.opts.Dir), private(string(h))); err != nil {
		return err
	}
	unlock, err := hold(ctx, h)
	if err != nil {
		return err
	}
	defer unlock()
	if err := write(h.file(instanceFile), want.ID); err != nil {
		return err
	}
	var is record
	if read(h.file(recordFile), &is) == nil && is.Image == made.Image && is.Pipelock == made.Pipelock {
		return s.start(ctx, h, want.ID, is)
	}
	if err := end(ctx, h); err != nil {
		return err
	}
	if err := s.program(want.ID, made.Image); err != nil {
		return err
	}
	if err := write(h.file(recordFile), made); err != nil {
		return err
	}
	s.sweep()
	return s.start(ctx, h, want.ID, made)
}

func (s *Sidecars) record(want *spec.Spec) record {
	r := record{
		Ref: rand.Text(), Image: s.Image(), Version: s.opts.Version, Created: time.Now().Unix(),
		Source: filepath.Base(want.Source.AgentFile), Keyed: true,
	}
	if want.Gate.Pipelock {
		r.Pipelock = s.opts.Pipelock
	}
	return r
}

// Start starts the one that exists, unless it runs.
func (s *Sidecars) Start(ctx context.Context, id spec.ID) error {
	h := s.home(id)
	unlock, err := hold(ctx, h)
	if errors.Is(err, fs.ErrNotExist) {
		return missing(id)
	}
	if err != nil {
		return err
	}
	defer unlock()
	var r record
	if err := read(h.file(recordFile), &r); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return missing(id)
		}
		return err
	}
	return s.start(ctx, h, id, r)
}

func missing(id spec.ID) error {
	return diag.Errorf("sidecar of %s does not exist", id).WithHint("'bb apply' creates it")
}

// Stop ends the sidecar, and keeps what it was started with.
func (s *Sidecars) Stop(ctx context.Context, id spec.ID) error {
	return s.ended(ctx, id, func(home) error { return nil })
}

// Remove ends the sidecar. Its authority and its logs stay.
func (s *Sidecars) Remove(ctx context.Context, id spec.ID) error {
	return s.ended(ctx, id, func(h home) error {
		return errors.Join(gone(os.Remove(h.file(recordFile))), gone(os.Remove(h.file(keyFile))))
	})
}

// ended ends the sidecar, and then does something while nobody starts it.
func (s *Sidecars) ended(ctx context.Context, id spec.ID, then func(home) error) error {
	h := s.home(id)
	unlock, err := hold(ctx, h)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	if err := end(ctx, h); err != nil {
		return err
	}
	return then(h)
}

// RemoveState removes what is left of it.
func (s *Sidecars) RemoveState(ctx context.Context, id spec.ID) error {
	if err := s.Remove(ctx, id); err != nil {
		return err
	}
	return wipe(s.home(id))
}

// gone takes what is not there for removed.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// read decodes a file that write made.
func read(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return diag.Errorf("%s is damaged", path).WithHint("remove it, then 'bb apply'")
	}
	return nil
}

// write replaces a file whole.
func write(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return replace(path, b)
}

func replace(path string, b []byte) error {
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return diag.Errorf("%s is no directory", dir)
	}
	return os.Chmod(dir, 0o700)
}
