package guest

import (
	"errors"
	"testing"
)

func TestPastLock(t *testing.T) {
	left := errors.New("exit code 255: error: could not lock config file /home/node/.gitconfig: File exists")
	for name, tt := range map[string]struct {
		locks   int // tries that find it locked, unless it is removed
		other   error
		removed bool
		want    error
	}{
		"free":              {},
		"held for a moment": {locks: 2},
		"left":              {locks: 1 << 20, removed: true},
		"another mistake":   {other: errors.New("no git"), want: errors.New("no git")},
	} {
		t.Run(name, func(t *testing.T) {
			tries, removed := 0, false
			err := pastLock(t.Context(), func() error {
				if tries++; tries <= tt.locks && !removed {
					return left
				}
				return tt.other
			}, func() error { removed = true; return nil })
			if removed != tt.removed || (err == nil) != (tt.want == nil) || err != nil && err.Error() != tt.want.Error() {
				t.Errorf("removed %v, %v", removed, err)
			}
		})
	}
}
