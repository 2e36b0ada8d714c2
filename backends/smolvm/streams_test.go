package smolvm

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress/door/session"
)

// What smolvm notes before a session begins is dropped, in whatever pieces it
// comes; nothing of the session is.
func TestPreamble(t *testing.T) {
	started, busy := "S\x00\x00\x00\x00", "B\x00\x00\x00\x00"
	for in, want := range map[string]string{
		started: started, busy + "x": busy + "x", "note: --name stands after --\n" + started + "E\x00\x00\x00\x01x": started + "E\x00\x00\x00\x01x",
		"S" + started: started, "Error: vm not found: x\n": "", started + "\n" + started: started + "\n" + started,
	} {
		for piece := 1; piece <= len(in); piece++ {
			out := &bytes.Buffer{}
			p := &preamble{to: out}
			for at := 0; at < len(in); at += piece {
				if _, err := p.Write([]byte(in[at:min(len(in), at+piece)])); err != nil {
					t.Fatal(err)
				}
			}
			if out.String() != want {
				t.Errorf("%q by %d: %q, want %q", in, piece, out, want)
			}
		}
	}
	p := &preamble{to: &bytes.Buffer{}}
	if _, err := p.Write([]byte(strings.Repeat("x", maxPreamble+1))); !errors.Is(err, session.ErrNotStarted) {
		t.Errorf("much that is no session: %v", err)
	}
}

type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b }

// A valve whose reader is gone says so once, and takes on.
func TestValve(t *testing.T) {
	out := &bytes.Buffer{}
	v := &valve{to: out}
	_, _ = v.Write([]byte("a"))
	v.shut.Store(true)
	if n, err := v.Write([]byte("b")); n != 1 || err != nil || out.String() != "a" || v.err() != nil {
		t.Errorf("%d, %v, %q", n, err, out)
	}
	v = &valve{to: broken{errors.New("gone")}}
	waits := v.broken()
	for range 2 {
		if n, err := v.Write([]byte("b")); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	select {
	case <-waits:
	default:
		t.Error("nobody is told")
	}
	if v.err() == nil {
		t.Error("no cause")
	}
}
