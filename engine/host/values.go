package host

import (
	"context"
	"errors"
	"sync"

	"github.com/bot-bottle/bb/egress"
)

// ErrNotRun says that a value is known only once its command has run.
var ErrNotRun = errors.New("is known once its command has run")

// Values finds the values of token references. Each command runs once,
// however many bottles share it. The zero value is ready for use.
type Values struct {
	mu  sync.Mutex
	ran map[string]ran
}

type ran struct {
	value string
	err   error
}

// Known returns the value of a reference without running anything: that of a
// command is ErrNotRun until Run ran it, or what keeps it from running. For an
// encrypted key the ssh-agent is asked which keys it has.
func (v *Values) Known(ref string) (string, error) {
	r := egress.ParseRef(ref)
	switch {
	case r.File != "":
		return File(r.File)
	case r.Key != "":
		return Key(context.Background(), r.Key)
	case r.Command == nil:
		return Variable(r.Variable)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if done, ok := v.ran[ref]; ok {
		return done.value, done.err
	}
	if _, err := Program(r.Command); err != nil {
		return "", err
	}
	return "", ErrNotRun
}

// Run is Known that runs a command where it has not.
func (v *Values) Run(ctx context.Context, ref string) (string, error) {
	value, err := v.Known(ref)
	if !errors.Is(err, ErrNotRun) {
		return value, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	value, err = Command(ctx, egress.ParseRef(ref).Command)
	if v.ran == nil {
		v.ran = map[string]ran{}
	}
	v.ran[ref] = ran{value, err}
	return value, err
}
