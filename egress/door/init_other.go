//go:build !linux

package door

import (
	"context"
	"errors"
)

// Init serves the door inside a bottle, and bottles run Linux.
func Init(context.Context, Options) error {
	return errors.New("bb init runs inside a Linux bottle only")
}

var _ = (*door).serve
