package smolvm

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// ownImages: not the images that the tests share.
func ownImages(t *testing.T, w *world) {
	t.Helper()
	if err := os.Remove(w.path("images")); err != nil {
		t.Fatal(err)
	}
}

// orphansOf lists them, each as kind and name.
func orphansOf(t *testing.T, w *world) (all []string) {
	t.Helper()
	orphans, err := w.Orphans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range orphans {
		all = append(all, o.Kind+" "+o.Name)
	}
	return all
}

func removeOrphans(t *testing.T, w *world) {
	t.Helper()
	orphans, err := w.Orphans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range orphans {
		if err := w.RemoveOrphan(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
}

// files lists what is left below the driver's directory.
func files(t *testing.T, w *world) (all []string) {
	t.Helper()
	err := filepath.WalkDir(w.opts.Dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(w.opts.Dir, path)
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What no machine was made of goes, also while others have theirs, and while
// there are machines of somebody else.
func TestOrphans(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	ownImages(t, w)
	w.opts.Programs = t.TempDir()
	w.smolvm(t, "machine", "create", "--name", "somebodys", "--image", userRoot(t))
	w.upTo(t, s)
	made, err := w.find(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	key := made.Labels[labelArchive]
	for _, name := range []string{
		"bin-0123456789ab/bb", ".bb-123", "agents/bb-gone-0a1b2c/sessions/x",
		"images/0123.tar", "images/0123.tar.lock", "images/4567.tar.lock", "images/.export-4567", "images/.export-8901.layer", "images/8901.tar.lock",
	} {
		write(t, w.path(name))
	}
	write(t, filepath.Join(w.opts.Programs, "bb-0123456789ab-1"))
	write(t, filepath.Join(w.opts.Programs, "plain"))
	unlock, err := tryLock(w.archive("8901") + lockSuffix) // somebody exports it
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	want := []string{
		"directory bin-0123456789ab", "file .bb-123", "image 0123.tar", "file 4567.tar.lock", "file .export-4567",
		"directory bb-gone-0a1b2c", "file bb-0123456789ab-1",
	}
	if d := cmp.Diff(want, orphansOf(t, w)); d != "" {
		t.Error(d)
	}
	removeOrphans(t, w)
	if left := orphansOf(t, w); len(left) > 0 {
		t.Errorf("afterwards: %v", left)
	}
	kept := []string{"bin-" + must(t, w) + "/bb", "images/.export-8901.layer", "images/8901.tar.lock", "images/" + key + ".tar", "images/" + key + ".tar.lock", "locks/" + s.ID.Name() + ".lock"}
	slices.Sort(kept)
	if d := cmp.Diff(kept, files(t, w)); d != "" {
		t.Error(d)
	}
	for _, o := range []backends.Orphan{
		{Kind: "directory", Name: "bin", Ref: w.binDir(must(t, w))},
		{Kind: "image", Name: key + ".tar", Ref: w.archive(key)},
		{Kind: "file", Name: ".export-8901.layer", Ref: w.path("images", ".export-8901.layer")},
		{Kind: "directory", Name: "etc", Ref: "/etc"},
	} {
		if err := w.RemoveOrphan(t.Context(), o); err == nil {
			t.Errorf("%s was removed", o.Ref)
		}
		if _, err := os.Lstat(o.Ref); err != nil {
			t.Error(err)
		}
	}

	// Without the machine, only what is desired stays.
	unlock()
	if err := w.RemoveAgent(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	w.Want([]*spec.Spec{s})
	if got := orphansOf(t, w); slices.ContainsFunc(got, func(o string) bool { return strings.Contains(o, key) }) || len(got) == 0 {
		t.Errorf("desired: %v", got)
	}
	w.Want(nil)
	removeOrphans(t, w)
	if d := cmp.Diff([]string{"locks/" + s.ID.Name() + ".lock"}, files(t, w)); d != "" {
		t.Errorf("at the end: %s", d)
	}
}

// A machine that was made and never ran is somebody's work nowhere.
func TestMachineThatNeverRan(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.upTo(t, s)
	if p := w.seen(t, s); !p.Unused {
		t.Errorf("%+v", p)
	}
	w.smolvm(t, "machine", "start", "--name", s.ID.Name())
	if p := w.seen(t, s); p.Unused {
		t.Errorf("%+v", p)
	}
}

// Whoever waits for a lock that its holder removes gets one that others wait for.
func TestLockThatIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	first, err := tryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan func(), 1)
	go func() {
		unlock, err := lockFile(t.Context(), path)
		if err != nil {
			t.Error(err)
		}
		got <- unlock
	}()
	for !locked(path) {
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	first()
	unlock := <-got
	defer unlock()
	if _, err := tryLock(path); err == nil {
		t.Error("two have it")
	}
}

func must(t *testing.T, w *world) string {
	t.Helper()
	b, err := w.binary()
	if err != nil {
		t.Fatal(err)
	}
	return b.digest
}
