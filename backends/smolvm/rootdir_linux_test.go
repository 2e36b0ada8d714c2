package smolvm

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/spec"
)

// smallRoot is a directory with one of everything.
func smallRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, "bin", "tool"))
	write(t, filepath.Join(root, "home", "node", "deep", "file"))
	err := errors.Join(
		os.Link(filepath.Join(root, "bin", "tool"), filepath.Join(root, "bin", "same")),
		os.Symlink("../etc/passwd", filepath.Join(root, "bin", "link")),
		os.Chmod(filepath.Join(root, "bin", "tool"), os.ModeSetuid|0o755),
	)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// Whatever changes below a directory, however deep, makes another image; what
// does not change makes the same one.
func TestDirectoryThatChanges(t *testing.T) {
	root := smallRoot(t)
	deep := filepath.Join(root, "home", "node", "deep", "file")
	linked := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(root, linked); err != nil {
		t.Fatal(err)
	}
	before := ""
	for _, tt := range []struct {
		what    string
		do      func() error
		changes bool
	}{
		{"at first", func() error { return nil }, true},
		{"nothing", func() error { _, err := os.ReadFile(deep); return err }, false},
		{"content of the same size", func() error {
			return errors.Join(os.WriteFile(deep, []byte("y"), 0o600), os.Chtimes(deep, time.Time{}, time.Unix(1, 5)))
		}, true},
		{"mode", func() error { return os.Chmod(deep, 0o640) }, true},
		{"a new name", func() error { return os.WriteFile(deep+"2", nil, 0o600) }, true},
		{"a link's target", func() error {
			return errors.Join(os.Remove(filepath.Join(root, "bin", "link")), os.Symlink("../etc/shadow", filepath.Join(root, "bin", "link")))
		}, true},
	} {
		if err := tt.do(); err != nil {
			t.Fatal(err)
		}
		now, err := rootDigest(root)
		if err != nil || (now != before) != tt.changes {
			t.Errorf("%s: changed is %v, want %v (%v)", tt.what, now != before, tt.changes, err)
		}
		if through, err := rootDigest(linked); err != nil || through != now {
			t.Errorf("%s: by a link it is another: %v", tt.what, err)
		}
		before = now
	}
}

func TestDirectoryAsAnArchive(t *testing.T) {
	root, scratch := smallRoot(t), filepath.Join(t.TempDir(), "scratch")
	var one, two bytes.Buffer
	if err := errors.Join(saveRoot(root, scratch, &one), saveRoot(root, scratch, &two)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("twice, it is another archive")
	}
	if _, err := os.Stat(scratch); err == nil {
		t.Error("the layer was left")
	}
	outer := tar.NewReader(&one)
	if h, err := outer.Next(); err != nil || h.Name != "layer.tar" {
		t.Fatalf("%+v, %v", h, err)
	}
	type file struct {
		Name, Link string
		Type       byte
		Mode       int64
	}
	var got []file
	for r := tar.NewReader(outer); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, file{h.Name, h.Linkname, h.Typeflag, h.Mode})
	}
	want := []file{
		{"bin/", "", tar.TypeDir, 0o755},
		{"bin/link", "../etc/passwd", tar.TypeSymlink, 0o777},
		{"bin/same", "", tar.TypeReg, 0o4755},
		{"bin/tool", "bin/same", tar.TypeLink, 0o4755},
		{"home/", "", tar.TypeDir, 0o755},
		{"home/node/", "", tar.TypeDir, 0o755},
		{"home/node/deep/", "", tar.TypeDir, 0o755},
		{"home/node/deep/file", "", tar.TypeReg, 0o600},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What a user unpacked is all the user's; in a machine the system is root's.
func TestOwnersOfADirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away: NOT RUN")
	}
	root := smallRoot(t)
	for _, name := range []string{"", "bin", "bin/tool", "home", "home/node", "home/node/deep/file"} {
		if err := os.Lchown(filepath.Join(root, name), 4321, 4321); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]int{}
	if err := walkRoot(root, func(e entry) error { got[e.header.Name] = e.header.Uid; return nil }); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"bin/": 0, "bin/link": 0, "bin/same": 0, "bin/tool": 0, "home/": 0,
		"home/node/": spec.UID, "home/node/deep/": 0, "home/node/deep/file": spec.UID,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Two bottles of one directory share nothing, and write nothing into it.
func TestDirectoryOfTwoBottles(t *testing.T) {
	w, one, two := newWorld(t), newSpec(t), newSpec(t)
	ownImages(t, w)
	root := userRoot(t)
	one.Image, two.Image = spec.Image{Name: "x", Ref: root}, spec.Image{Name: "x", Ref: root}
	before, err := rootDigest(root)
	if err != nil {
		t.Fatal(err)
	}
	w.up(t, one)
	w.up(t, two)
	w.sh(t, one, "echo mine >~/mine")
	if got := w.sh(t, two, "ls ~/mine 2>/dev/null; id -un"); got != "node\n" {
		t.Errorf("the other sees %q", got)
	}
	if after, err := rootDigest(root); err != nil || after != before {
		t.Errorf("the directory changed: %v", err)
	}
	m, err := w.find(t.Context(), one.ID)
	if err != nil || m == nil {
		t.Fatal(err)
	}
	if len(m.Image) < 6 || m.Image[:6] != "local:" {
		t.Errorf("its image is %s", m.Image)
	}
}
