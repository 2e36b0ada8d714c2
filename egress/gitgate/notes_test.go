package gitgate

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What a bottle causes cannot fill a log of the host.
func TestNotesAreFew(t *testing.T) {
	var got []string
	n := newNoter(func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) })
	for i := range 1000 {
		n.add("%d", i)
	}
	if len(got) != noteBurst {
		t.Fatalf("%d notes", len(got))
	}
	n.last = n.last.Add(-noteEvery - time.Second)
	n.add("later")
	if want := "git gate: 970 events before this one were not noted later"; strings.Join(got[noteBurst:], " ") != want {
		t.Errorf("got %q", got[noteBurst:])
	}
}
