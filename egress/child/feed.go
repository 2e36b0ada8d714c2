package child

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// feed makes a pipe of o.Stdin, filled beside the program: exec's own filling
// holds the end of a program for as long as its reader blocks. What it returns
// is called once the program has ended or was not started, and tells how the
// filling ended, for which it waits up to the grace.
func feed(o *Options) (func(grace time.Duration) error, error) {
	if _, is := o.Stdin.(*os.File); is || o.Stdin == nil {
		return func(time.Duration) error { return nil }, nil
	}
	in := o.Stdin
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o.Stdin = r
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(w, in)
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
			err = nil // the program did not want more
		}
		ended <- err // before the program can see the end
		_ = w.Close()
	}()
	return func(grace time.Duration) error {
		_ = r.Close() // with the program's own gone, a write fails
		select {
		case err := <-ended:
			return err
		case <-time.After(grace):
			_ = w.Close()
			return ErrWaitDelay
		}
	}, nil
}
