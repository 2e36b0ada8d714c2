package guest

import (
	"context"
	"strings"
	"time"

	"github.com/bot-bottle/bb/engine/spec"
)

// How long a lock of git's settings may be somebody's: a git holds it for a moment.
const (
	lockPatience = 2 * time.Second
	lockPause    = 200 * time.Millisecond
)

// gitLock is what git puts beside the settings that it changes. One that was killed
// in the middle, with the bb that ran it, leaves it there, and git alone would
// never change them again.
const gitLock = spec.Home + "/.gitconfig.lock"

// pastLock runs a change of git's settings. While these are locked it tries again,
// and then removes the lock: nobody's, by then.
func pastLock(ctx context.Context, change, remove func() error) error {
	locked := func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "could not lock config file")
	}
	err := change()
	for end := time.Now().Add(lockPatience); locked(err) && time.Now().Before(end); err = change() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPause):
		}
	}
	if !locked(err) {
		return err
	}
	if err := remove(); err != nil {
		return err
	}
	return change()
}
