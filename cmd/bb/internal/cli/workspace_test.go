package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRiskySince(t *testing.T) {
	dir := t.TempDir()
	began := time.Now()
	if err := os.WriteFile(filepath.Join(dir, ".envrc"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := riskySince(dir, began)
	if err != nil || l.Count != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	var b bytes.Buffer
	(&app{stderr: &b}).warnRisky(l)
	if !strings.Contains(b.String(), "  .envrc: a shell may run it when the directory is entered\n") {
		t.Error(b.String())
	}
}

func TestWords(t *testing.T) {
	var w words
	for range 100 {
		_, _ = w.Write([]byte("bb: one\n  two\nbb: three\n" + strings.Repeat("x", 200)))
	}
	if got := w.String(); !strings.HasPrefix(got, "one\n  two\nthree\n") || len(got) > 8<<10 {
		t.Errorf("%d bytes: %.40q", len(got), got)
	}
}
