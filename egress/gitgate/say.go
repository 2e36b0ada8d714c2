package gitgate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unicode"

	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

// maxSaid bounds one text for an agent, in bytes.
const maxSaid = 1000

// line is text on one line without what a terminal would obey or hide.
func line(s string) string {
	var b strings.Builder
	for _, c := range strings.ToValidUTF8(s, "?") {
		switch {
		case c == '\n' || c == '\t' || c == '\r':
			c = ' '
		case !unicode.IsPrint(c):
			continue
		}
		if b.Len()+len(string(c)) > maxSaid {
			break
		}
		b.WriteRune(c)
	}
	return strings.TrimSpace(b.String())
}

// told is an error whose text the agent may read.
type told string

func (t told) Error() string { return string(t) }

const (
	errChanged = told("this remote was changed or taken away while the operation was under way; try again")
	errEnded   = told("the git gate is closing")
	errFull    = told("the disk of the sidecar is full, so the repository cannot be mirrored")
)

// readable turns an error into one that the agent may read; what it may not is
// noted for the host.
func (g *Gate) readable(what string, err error) error {
	var failure *upstream.Failure
	var said told
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errBusy):
		return told(errBusy.Error())
	case errors.As(err, &said):
		return said
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), strings.Contains(err.Error(), "No space left on device"):
		g.note("git gate: %s: %s", what, line(err.Error()))
		return errFull
	case errors.As(err, &failure):
		return told(line(failure.Text))
	case errors.Is(err, context.DeadlineExceeded):
		return told("it took too long")
	case errors.Is(err, context.Canceled):
		return told("it was interrupted")
	}
	g.note("git gate: %s: %s", what, line(err.Error()))
	return told("the git gate could not do it: `bb logs` on the host says more")
}

// unknownRemote names what there is instead.
func unknownRemote(name string, remotes map[string]*served) string {
	names := sorted(remotes)
	for i, n := range names {
		names[i] = n + suffix
	}
	there := "it has none"
	if len(names) > 0 {
		there = "it has " + strings.Join(names, ", ")
	}
	if name == "" {
		return "this is no path of a remote of this bottle; " + there
	}
	return fmt.Sprintf("%q is no remote of this bottle; %s", name, there)
}
