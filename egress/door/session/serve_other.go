//go:build !linux

package session

import "errors"

// Serve runs in a bottle, and bottles run Linux.
func Serve(Options, []string) (int, error) {
	return 0, errors.New("bb door session runs inside a Linux bottle only")
}
