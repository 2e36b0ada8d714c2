package door

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestTalks(t *testing.T) {
	dir, mark := t.TempDir(), filepath.Join(t.TempDir(), "began")
	at := func(minutes int) time.Time {
		return time.Unix(1_700_000_000, 0).Add(time.Duration(minutes) * time.Minute)
	}
	put := func(name, text string, minutes int) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at(minutes), at(minutes)); err != nil {
			t.Fatal(err)
		}
	}
	look := func(pattern string, last, begun int64) {
		t.Helper()
		got, err := talks(dir, pattern, mark, 50)
		if err != nil || got != (Talk{last, begun}) {
			t.Errorf("%q: %+v, %v", pattern, got, err)
		}
	}
	look("", 0, 0)
	put("-home-x/one.jsonl", "said", 1)
	put("-home-x/two.jsonl", "said", 2)
	put("-elsewhere/three.jsonl", "said", 3)
	put("-home-x/empty.jsonl", "", 4)
	put("-home-x/deep/four.jsonl", "said", 5)
	put("-home-x/notes", "said", 6)
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "-home-x/link.jsonl")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "-home-x/pipe.jsonl"), 0o644); err != nil {
		t.Fatal(err)
	}
	began(mark)
	if err := os.Chtimes(mark, at(7), at(7)); err != nil {
		t.Fatal(err)
	}
	look("-home-x/*.jsonl", at(2).UnixNano(), at(7).UnixNano())
	look("", at(6).UnixNano(), at(7).UnixNano())
	look("none/*", 0, at(7).UnixNano())
	if _, err := talks(dir, "[", mark, 50); err == nil {
		t.Error("a broken pattern is taken")
	}
	began(mark)
	if info, err := os.Stat(mark); err != nil || time.Since(info.ModTime()) > time.Minute {
		t.Errorf("a new beginning is as old as the last: %v", err)
	}
	if _, err := talks(dir, "", mark, 5); err == nil {
		t.Error("it looks without an end")
	}
}
