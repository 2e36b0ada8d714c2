package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/client"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/diag"
)

// wrap names the resource of a failed call. An engine that went away is one
// clear error, however the connection ended.
func (d *Driver) wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	var known diag.Diagnostic
	var dial *dialError
	switch {
	case errors.As(err, &dial) && errors.As(dial.error, &known):
		return fmt.Errorf("%s: %w", what, known)
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", what, err)
	case engineGone(err):
		if why := d.dial.failure(); why != nil {
			return fmt.Errorf("%s: %w", what, why)
		}
		return diag.Errorf("%s: the docker engine at %s went away", what, d.at).
			WithHint("start it and run the same command again: bb finishes what was begun")
	case diskFull(err.Error()):
		return d.fullDisk(what, "")
	}
	return &callError{what: what, cause: err}
}

func engineGone(err error) bool {
	var op *net.OpError
	return client.IsErrConnectionFailed(err) || errors.As(err, &op) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// callError keeps the engine's error for errdefs and says it in bb's manner.
type callError struct {
	what  string
	cause error
}

func (e *callError) Error() string { return e.what + ": " + tidy(e.cause.Error()) }
func (e *callError) Unwrap() error { return e.cause }

// tidy makes the engine's wording fit in a sentence of ours.
func tidy(s string) string {
	s = strings.TrimPrefix(s, "Error response from daemon: ")
	return strings.TrimSuffix(guest.Printable(s), ".")
}

// sequences are what drives a terminal: without its first byte the rest would
// stay as litter.
var sequences = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// lastLines returns the end of text that others wrote, without what a builder
// says of its own steps.
func lastLines(text string, n int) string {
	text = sequences.ReplaceAllString(text, "")
	lines := slices.DeleteFunc(strings.Split(guest.Printable(text), "\n"), func(l string) bool {
		return strings.HasPrefix(l, " ---> ") || strings.Contains(l, " : ARG ")
	})
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
