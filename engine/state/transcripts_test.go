package state

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTranscripts(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	say := func(text string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	}
	if all, err := s.Transcripts(); err != nil || all != nil {
		t.Errorf("before the first: %v, %v", all, err)
	}
	for i, want := range []string{"bb-dev-abcdef-20260102T030405Z.tar.gz", "bb-dev-abcdef-20260102T030405Z-2.tar.gz"} {
		path, err := s.KeepTranscript("bb-dev-abcdef", at, say("hello"))
		if err != nil || filepath.Base(path) != want {
			t.Fatalf("%d: %s, %v", i, path, err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if text := unpacked(t, path); text != "hello" {
			t.Errorf("kept %q", text)
		}
	}
	if path, err := s.KeepTranscript("bb-dev-abcdef", at, say("")); err != nil || path != "" {
		t.Errorf("of nothing: %q, %v", path, err)
	}
	broken := errors.New("broken")
	half := func(w io.Writer) error { return errors.Join(say("half")(w), broken) }
	if path, err := s.KeepTranscript("bb-dev-abcdef", at, half); !errors.Is(err, broken) || path != "" {
		t.Errorf("of half: %q, %v", path, err)
	}
	endless := func(w io.Writer) error {
		block := make([]byte, 1<<20)
		for {
			if _, err := w.Write(block); err != nil {
				return err
			}
		}
	}
	if path, err := s.KeepTranscript("bb-dev-abcdef", at, endless); !errors.Is(err, ErrTranscriptSize) || path != "" {
		t.Errorf("without an end: %q, %v", path, err)
	}
	all, err := s.Transcripts()
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
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

func unpacked(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
