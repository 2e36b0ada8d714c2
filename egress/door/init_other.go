//go:build !linux

package door

import (
	"context"
	"errors"
)

var errNotHere = errors.New("bb init runs inside a Linux bottle only")

// Init serves the door inside a bottle, and bottles run Linux.
func Init(context.Context, Options) error {
	return errNotHere
}

var (
	_ = (*door).serve
	_ = began
)

// User is who the programs of a bottle run as.
type User struct{ UID, GID int }

// Boot is Init for a machine that nobody has prepared.
func Boot(context.Context, Options, User, []string) error {
	return Init(context.Background(), Options{})
}

// Alone fails where something but the door leads out.
func Alone(int) error { return errors.Join(errNotHere, interfaces(), unreachable(0)) }
