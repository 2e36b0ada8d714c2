package leaks

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestClock counts while somebody searches, once for all who do, and not while
// nothing is there to search.
func TestClock(t *testing.T) {
	var c clock
	most := allowed(0) * 8 / 10
	c.begin()
	c.since = time.Now().Add(-most / 2)
	c.begin()
	c.since = c.since.Add(-most / 4)
	c.end()
	c.end()
	c.since = time.Now().Add(-time.Hour) // waiting
	c.begin()
	if c.late() {
		t.Errorf("late after %s of %s", c.spent, most)
	}
	c.since = c.since.Add(-most / 2)
	if !c.late() {
		t.Errorf("not late after %s of %s", c.spent, most)
	}
	c.bytes.Store(10 << 30)
	if c.late() {
		t.Error("a large push has no more time than an empty one")
	}
}

// TestLateIsRefused holds a search that takes too long to its time, in text and
// in archives, and says so.
func TestLateIsRefused(t *testing.T) {
	for name, data := range map[string][]byte{
		"text": bytes.Repeat([]byte("plain words\n"), piece/6), "archive": []byte(zipOf(t, "a", "plain words", "b", "more")),
	} {
		s := bare(t)
		s.clock.spent = time.Hour
		s.file(place{path: name}, name, data)
		if !strings.Contains(s.report.Refused, "takes longer to search") {
			t.Errorf("%s: %+v", name, s.report)
		}
	}
}

func TestLineCounter(t *testing.T) {
	text := []byte("one\ntwo\n\nfour")
	c := lineCounter{text: text, line: 1}
	for _, at := range []int{0, 9, 4, 8, 3, 13, 100, 0} {
		want := 1 + bytes.Count(text[:min(at, len(text))], []byte("\n"))
		if got := c.of(at); got != want {
			t.Errorf("%d is in line %d, got %d", at, want, got)
		}
	}
}

// TestPushUnpacksToTooMuch bounds many blobs together that are small each.
func TestPushUnpacksToTooMuch(t *testing.T) {
	s := bare(t)
	s.unpacked.Store(maxPush - 100)
	s.file(place{path: "a.zip"}, "a.zip", []byte(zipOf(t, "a", strings.Repeat("x", 200))))
	if !strings.Contains(s.report.Refused, "push it in parts") {
		t.Errorf("%+v", s.report)
	}
}

// TestZipDirectoryIsBounded refuses a directory that costs more to read than
// anything in it.
func TestZipDirectoryIsBounded(t *testing.T) {
	data := append([]byte(zipOf(t, "a", "x")), bytes.Repeat([]byte("PK\x01\x02"), 2*maxMembers)...)
	s := bare(t)
	s.file(place{path: "a.zip"}, "a.zip", data)
	if !strings.Contains(s.report.Refused, "20,000 members") {
		t.Errorf("%+v", s.report)
	}
}

func bare(t *testing.T) *searcher {
	t.Helper()
	s, err := newSearcher(nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
