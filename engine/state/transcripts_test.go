package state

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const devBottle = "bb-dev-abcdef"

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func opened(t *testing.T) *State {
	t.Helper()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// entry is one of an archive; its time is minutes after at.
type entry struct {
	name, text string
	minutes    int
	kind       byte // 0 is a regular file
}

// sends writes an archive, and counts how often it is asked to.
func sends(n *int, entries ...entry) func(io.Writer) error {
	return func(w io.Writer) error {
		*n++
		t := tar.NewWriter(w)
		for _, e := range entries {
			h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: 0o4777, Uid: 12, Size: int64(len(e.text)), ModTime: at.Add(time.Duration(e.minutes) * time.Minute)}
			if e.kind != 0 {
				h.Typeflag, h.Size, h.Linkname = e.kind, 0, e.text
			}
			if err := t.WriteHeader(h); err != nil {
				return err
			}
			if e.kind == 0 {
				if _, err := io.WriteString(t, e.text); err != nil {
					return err
				}
			}
		}
		return t.Close()
	}
}

func say(text string) func(io.Writer) error {
	return sends(new(int), entry{name: "talks", kind: tar.TypeDir}, entry{name: "talks/one.jsonl", text: text})
}

// holding is what a transcript holds: "name=text" of each file.
func holding(t *testing.T, path string) (list []string) {
	t.Helper()
	err := Transcript{Path: path}.Files(func(name string, r io.Reader) error {
		text, err := io.ReadAll(r)
		list = append(list, name+"="+string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestTranscripts(t *testing.T) {
	s := opened(t)
	if all, err := s.Transcripts(); err != nil || all != nil {
		t.Errorf("before the first: %v, %v", all, err)
	}
	for i, want := range []string{devBottle + "-20260102T030405Z.tar.gz", devBottle + "-20260102T030405Z-2.tar.gz"} {
		text := fmt.Sprint("hello ", i)
		k, err := s.KeepTranscript(devBottle, at, say(text))
		if err != nil || filepath.Base(k.Path) != want || k.Again || k.LeftOut != 0 {
			t.Fatalf("%d: %+v, %v", i, k, err)
		}
		info, err := os.Stat(k.Path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if d := cmp.Diff([]string{"talks/one.jsonl=" + text}, holding(t, k.Path)); d != "" {
			t.Error(d)
		}
	}
	nothing := func(io.Writer) error { return nil }
	for what, read := range map[string]func(io.Writer) error{"nothing": nothing, "a directory": sends(new(int), entry{name: "talks", kind: tar.TypeDir})} {
		if k, err := s.KeepTranscript(devBottle, at, read); err != nil || k.Path != "" {
			t.Errorf("of %s: %+v, %v", what, k, err)
		}
	}
	broken := errors.New("broken")
	for what, read := range map[string]func(io.Writer) error{
		"half":       func(w io.Writer) error { return errors.Join(say("half")(w), broken) },
		"no archive": func(w io.Writer) error { _, err := io.WriteString(w, strings.Repeat("x", 4096)); return err },
		"a cut":      func(w io.Writer) error { return say("half")(&cut{w, 700}) },
	} {
		if k, err := s.KeepTranscript(devBottle, at, read); err == nil || k.Path != "" {
			t.Errorf("of %s: %+v, %v", what, k, err)
		}
	}
	all, err := s.Transcripts()
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	if name, scope := all[0].Bottle(); name != "dev" || scope != "abcdef" {
		t.Errorf("it is of %q in %q", name, scope)
	}
	entries, err := os.ReadDir(filepath.Dir(all[0].Path))
	if err != nil || len(entries) != 2 {
		t.Errorf("something is left of what failed: %v, %v", entries, err)
	}
	for range 2 { // gone is success
		if err := s.RemoveTranscript(all[0]); err != nil {
			t.Error(err)
		}
	}
	rest, err := s.Transcripts()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(all[1:], rest); d != "" {
		t.Error(d)
	}
}

// cut ends a stream early, as if all of it had been written.
type cut struct {
	w    io.Writer
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	_, err := c.w.Write(p[:n])
	return len(p), err
}

// TestTranscriptIsPlain: what is kept may be unpacked anywhere, whatever a bottle
// sends.
func TestTranscriptIsPlain(t *testing.T) {
	s := opened(t)
	k, err := s.KeepTranscript(devBottle, at, sends(new(int),
		entry{name: "../../out", text: "x"}, entry{name: "/etc/passwd", text: "xx"}, entry{name: "talks/a\nb", text: "x"},
		entry{name: "talks/link", text: "/etc", kind: tar.TypeSymlink}, entry{name: "talks/hard", text: "talks/ok", kind: tar.TypeLink},
		entry{name: "talks/pipe", kind: tar.TypeFifo}, entry{name: "talks/" + strings.Repeat("n", maxName), text: "x"},
		entry{name: "./talks/ok", text: "yes"}))
	if err != nil || k.LeftOut != 7 || k.LeftOutBytes != 5 {
		t.Errorf("%+v, %v", k, err)
	}
	if d := cmp.Diff([]string{"talks/ok=yes"}, holding(t, k.Path)); d != "" {
		t.Error(d)
	}
}

// TestTranscriptTooLarge keeps the newest files up to the limit, to the byte.
func TestTranscriptTooLarge(t *testing.T) {
	text := strings.Repeat("x", 1000)
	entries := []entry{
		{name: "t/second", text: text, minutes: 2},
		{name: "t/oldest", text: text},
		{name: "t/huge", text: strings.Repeat("y", 9000), minutes: 9},
		{name: "t/newest", text: text, minutes: 3},
		{name: "t/first", text: text, minutes: 1},
	}
	small := []entry{entries[0], entries[1], entries[3], entries[4]}
	limit := int64(len(small) * (len(text) + fileCost))
	for _, tt := range []struct {
		name    string
		entries []entry
		limit   int64
		want    string
		asked   int
		left    int
		bytes   int64
	}{
		{"as many as fit", small, limit, "second oldest newest first", 1, 0, 0},
		{"one byte more", small, limit - 1, "second newest first", 2, 1, 1000},
		{"room for one", small, limit / 3, "newest", 2, 3, 3000},
		{"one that never fits", entries, limit, "second oldest newest first", 2, 1, 9000},
		{"nothing fits", small, 100, "", 2, 4, 4000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, asked := opened(t), 0
			k, err := s.keep(devBottle, at, sends(&asked, tt.entries...), tt.limit)
			if err != nil || k.LeftOut != tt.left || k.LeftOutBytes != tt.bytes || asked != tt.asked {
				t.Errorf("asked %d times, %+v, %v", asked, k, err)
			}
			var names []string
			if k.Path != "" {
				for _, x := range holding(t, k.Path) {
					name, _, _ := strings.Cut(strings.TrimPrefix(x, "t/"), "=")
					names = append(names, name)
				}
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("kept %q, want %q", got, tt.want)
			}
		})
	}
}

// TestTranscriptAgain: what did not change is not kept twice, and lives on from
// the last end.
func TestTranscriptAgain(t *testing.T) {
	s := opened(t)
	one, two := entry{name: "t/one", text: "1"}, entry{name: "t/two", text: "2", minutes: 5}
	keep := func(bottle string, later time.Duration, entries ...entry) Kept {
		t.Helper()
		k, err := s.KeepTranscript(bottle, time.Now().Add(later), sends(new(int), entries...))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := keep(devBottle, 0, one, two)
	for what, k := range map[string]Kept{
		"the same":            keep(devBottle, time.Hour, one, two),
		"in another order":    keep(devBottle, time.Hour, two, one),
		"with another link":   keep(devBottle, time.Hour, one, two, entry{name: "t/x", text: "y", kind: tar.TypeSymlink}),
		"with the same times": keep(devBottle, time.Hour, entry{name: "t/one", text: "1", minutes: 9}, two),
	} {
		if !k.Again || k.Path != first.Path {
			t.Errorf("%s: %+v", what, k)
		}
	}
	if last, ok := s.LastTranscript(devBottle); !ok || last.Path != first.Path || time.Until(last.Time) < 30*time.Minute {
		t.Errorf("the last is %+v", last)
	}
	for what, k := range map[string]Kept{
		"another bottle's": keep("bb-dev-abcde0", 0, one, two),
		"one less":         keep(devBottle, 0, one),
		"one more":         keep(devBottle, 2*time.Hour, one, two, entry{name: "t/3"}),
		"another text":     keep(devBottle, 3*time.Hour, entry{name: "t/one", text: "!"}, two, entry{name: "t/3"}),
	} {
		if k.Again || k.Path == first.Path {
			t.Errorf("%s: %+v", what, k)
		}
	}
	if _, ok := s.LastTranscript("bb-de-abcdef"); ok {
		t.Error("one of nobody is found")
	}
}

// TestUnfinishedTranscripts are those that a kill left, and not one that is being
// written.
func TestUnfinishedTranscripts(t *testing.T) {
	s := opened(t)
	if err := os.MkdirAll(s.transcripts(), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{".new-1": 2 * time.Hour, ".new-2": time.Minute, "other": 2 * time.Hour} {
		file := filepath.Join(s.transcripts(), name)
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Now(), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Unfinished()
	if err != nil || len(list) != 1 || list[0].Name != ".new-1" {
		t.Errorf("%v, %v", list, err)
	}
	if all, err := s.Transcripts(); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestTranscriptOfAnyMaking: a file that bb did not write is read no further than
// it may be, and no link leads elsewhere.
func TestTranscriptOfAnyMaking(t *testing.T) {
	s := opened(t)
	k, err := s.KeepTranscript(devBottle, at, say("hello"))
	if err != nil {
		t.Fatal(err)
	}
	none := func(string, io.Reader) error { return nil }
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(k.Path, link); err != nil {
		t.Fatal(err)
	}
	if err := (Transcript{Path: link}).Files(none); err == nil {
		t.Error("a link is followed")
	}
	whole, err := os.ReadFile(k.Path)
	if err != nil {
		t.Fatal(err)
	}
	for what, content := range map[string][]byte{"cut": whole[:len(whole)/2], "no archive": []byte("hello")} {
		file := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (Transcript{Path: file}).Files(none); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
