package smolvm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
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
	d, err := New(Options{Dir: t.TempDir(), Sidecars: newSidecars(t), Getenv: func(string) string { return "" }})
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
	one := newSpec(t)
	w.up(t, one)
	if f := byCheck(); f["boot"].Status != backends.StatusOK || f["sidecars"].Message != "1 sidecar of this bb, all running" {
		t.Errorf("with one: %+v", f)
	}

	// A sidecar that ended while its machine runs, one of another bb, one that
	// was stopped, and one that is nobody's.
	w.sidecars.mu.Lock()
	w.sidecars.stop(one.ID)
	w.sidecars.image = "another"
	w.sidecars.mu.Unlock()
	if err := w.sidecars.Ensure(t.Context(), newSpecOf(t, "other")); err != nil {
		t.Fatal(err)
	}
	stopped := newSpecOf(t, "stopped")
	if err := w.sidecars.Ensure(t.Context(), stopped); err != nil {
		t.Fatal(err)
	}
	if err := w.sidecars.Stop(t.Context(), stopped.ID); err != nil {
		t.Fatal(err)
	}
	w.sidecars.image, w.sidecars.orphans = "", []backends.Orphan{{Kind: "sidecar"}}
	w.sidecars.made[one.ID], w.sidecars.made[stopped.ID] = w.sidecars.Image(), w.sidecars.Image()
	var got []string
	for _, f := range w.Doctor(t.Context()) {
		if f.Check == "sidecars" {
			got = append(got, string(f.Status)+" "+f.Message)
		}
	}
	want := []string{
		"warn no sidecar runs, and so nothing leads out of: dev", "warn the sidecar is of another bb: other",
		"warn of no bottle: 1 directory", "ok stopped, as its bottle: stopped",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func newSpecOf(t *testing.T, agent string) *spec.Spec {
	t.Helper()
	s := newSpec(t)
	s.ID.Agent = agent
	return s
}
