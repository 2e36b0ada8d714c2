package hostside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A sidecar whose directory does not say any more whose it is, is shown, ended
// and removed; what is not bb's is neither.
func TestOrphans(t *testing.T) {
	s, one := newSidecars(t)
	if all, err := s.Orphans(t.Context()); err != nil || len(all) > 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	h := s.home(one.ID)
	if err := s.Ensure(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(shortDir(t), "0123456789ab")
	for path, text := range map[string]string{
		filepath.Join(s.opts.Dir, "mine", instanceFile):         "{",
		filepath.Join(s.opts.Dir, "0123456789ab", "notes"):      "mine",
		filepath.Join(s.opts.Dir, "0123456789AB", "instance"):   "mine",
		filepath.Join(s.opts.Dir, "0123456789abcd", lockFile):   "",
		filepath.Join(elsewhere, instanceFile):                  "{",
		filepath.Join(s.opts.Dir, "fedcba987654", instanceFile): "{", // a bb is there
		filepath.Join(s.opts.Dir, "fedcba987654", lockFile):     "",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(elsewhere, filepath.Join(s.opts.Dir, "ba9876543210")); err != nil {
		t.Fatal(err)
	}
	busy, err := hold(t.Context(), home(filepath.Join(s.opts.Dir, "fedcba987654")))
	if err != nil {
		t.Fatal(err)
	}
	defer busy()
	if all, err := s.Orphans(t.Context()); err != nil || len(all) > 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	before := tree(t, s.opts.Dir, elsewhere)
	was, err := os.ReadFile(h.file(instanceFile))
	if err != nil {
		t.Fatal(err)
	}
	for what, damage := range map[string]func(path string) error{
		"no file":     os.Remove,
		"half a file": func(path string) error { return os.WriteFile(path, []byte(`{"Sco`), 0o600) },
		"another bottle": func(path string) error {
			return os.WriteFile(path, []byte(`{"Scope":"0123456789abcdef","Agent":"other"}`), 0o600)
		},
		"a directory": func(path string) error { return os.MkdirAll(path+"/x", 0o700) },
	} {
		if err := s.Ensure(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		p, _ := serving(h)
		if what == "a directory" {
			_ = os.Remove(h.file(instanceFile))
		}
		if err := damage(h.file(instanceFile)); err != nil {
			t.Fatal(err)
		}
		if all, err := s.List(t.Context()); err != nil || len(all) > 0 {
			t.Errorf("%s: a bottle's: %+v, %v", what, all, err)
		}
		all, err := s.Orphans(t.Context())
		if err != nil || len(all) != 1 || all[0].Name != filepath.Base(string(h)) || !strings.Contains(all[0].Why, "process") || !Used(s.opts.Dir) {
			t.Fatalf("%s: %+v, %v", what, all, err)
		}
		if what == "half a file" { // one that found its owner since is nobody's orphan
			if err := os.WriteFile(h.file(instanceFile), was, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.RemoveOrphan(t.Context(), all[0]); err == nil || !strings.Contains(err.Error(), "in use") || only(t, s).Part.Running == false {
				t.Errorf("%s: %v", what, err)
			}
			if err := damage(h.file(instanceFile)); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := s.RemoveOrphan(t.Context(), all[0]); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := os.Stat(string(h)); err == nil || born(p.PID) != "" || p.PID == 0 {
			t.Errorf("%s: it is still there: %v, %d", what, err, p.PID)
		}
	}
	after := tree(t, s.opts.Dir, elsewhere)
	if err := s.Ensure(t.Context(), one); err != nil { // as before
		t.Fatal(err)
	}
	for name := range before {
		if strings.HasPrefix(name, string(h)) {
			delete(before, name)
		}
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("what is not a sidecar's (-want +got):\n%s", d)
	}
}

func tree(t *testing.T, dirs ...string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, dir := range dirs {
		if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			all[path] = true
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
