package smolvm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/backends"
)

func TestVirtualisation(t *testing.T) {
	dir := t.TempDir()
	there, shut := filepath.Join(dir, "kvm"), filepath.Join(dir, "shut")
	for path, mode := range map[string]os.FileMode{there: 0o600, shut: 0} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]struct {
		status backends.Status
		says   string
	}{
		there: {backends.StatusOK, "can be opened"}, filepath.Join(dir, "none"): {backends.StatusFail, "is missing"},
		dir: {backends.StatusFail, "directory"}, shut: {backends.StatusFail, "not writable for you"},
	} {
		if path == shut && os.Geteuid() == 0 {
			continue // root opens it
		}
		if f := virtualisation(path); f.Status != want.status || !strings.Contains(f.Message, want.says) {
			t.Errorf("%s: %+v", path, f)
		}
	}
}

func TestDoctor(t *testing.T) {
	d, err := New(Options{Dir: t.TempDir(), Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	if f := d.Doctor(t.Context())[0]; f.Check != "smolvm" || f.Status != backends.StatusFail || !strings.Contains(f.Message, "not installed") || f.Hint == "" {
		t.Errorf("without smolvm: %+v", f)
	}
	w := newWorld(t)
	byCheck := func() map[string]backends.Finding {
		m := map[string]backends.Finding{}
		for _, f := range w.Doctor(t.Context()) {
			m[f.Check] = f
		}
		return m
	}
	if f := byCheck(); f["smolvm"].Status != backends.StatusOK || f["boot"].Status != backends.StatusWarn {
		t.Errorf("without machines: %+v", f)
	}
	w.up(t, newSpec(t))
	if f := byCheck(); f["boot"].Status != backends.StatusOK {
		t.Errorf("with one: %+v", f)
	}
}
