package diag

import (
	"errors"
	"io/fs"
)

// Cause is the system's word for a failure, without the call and the path that
// a message names already.
func Cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
