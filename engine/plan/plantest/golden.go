package plantest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Golden compares an archive with testdata/NAME.txtar, or with BB_UPDATE set
// writes it anew: read what was written.
func Golden(t *testing.T, name string, got *txtar.Archive) {
	t.Helper()
	file, text := filepath.Join("testdata", name+".txtar"), string(txtar.Format(got))
	if os.Getenv("BB_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), text); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}
