package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A tree arrives as it was: content, exec bits, times, links, odd names.
func TestRoundTrip(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write(t, filepath.Join(src, ".git/hooks/pre-commit"), "#!/bin/sh\n")
	must(t, os.Chmod(filepath.Join(src, ".git/hooks/pre-commit"), 0o4755))
	write(t, filepath.Join(src, "a/b/c"), strings.Repeat("c", 300_000))
	write(t, filepath.Join(src, "a/\xff\xfe bytes é"), "")
	write(t, filepath.Join(src, strings.Repeat("n", 255)), "long")
	write(t, filepath.Join(src, "one"), "both")
	must(t, os.Link(filepath.Join(src, "one"), filepath.Join(src, "a/two")))
	must(t, os.Symlink("../one", filepath.Join(src, "a/up")))
	must(t, os.Symlink("nowhere", filepath.Join(src, "dangling")))
	must(t, os.Mkdir(filepath.Join(src, "empty"), 0o700))
	then := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	must(t, os.Chtimes(filepath.Join(src, "one"), then, then))

	var b bytes.Buffer
	sent, err := Pack(open(t, src), ".", &b, Options{As: "top"})
	must(t, err)
	got, err := Unpack(&b, open(t, dst), Options{As: "new"})
	must(t, err)
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("sent and got (-sent +got):\n%s", diff)
	}
	if diff := cmp.Diff(contentOf(t, src), contentOf(t, filepath.Join(dst, "new"))); diff != "" {
		t.Errorf("(-source +copy):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dst, "new/.git/hooks/pre-commit"))
	if must(t, err); info.Mode() != 0o755 {
		t.Errorf("mode %v", info.Mode())
	}
	if info, err = os.Stat(filepath.Join(dst, "new/one")); err != nil || !info.ModTime().Equal(then) {
		t.Errorf("time %v, %v", info.ModTime(), err)
	}
	if text, _ := os.ReadFile(filepath.Join(dst, "new/a/two")); string(text) != "both" {
		t.Errorf("second name of a file: %q", text)
	}
}

// nasty is a tree with one of each that is refused.
func nasty(t *testing.T) string {
	t.Helper()
	dir, outside := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "fine"), "fine")
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(t, err)
	defer syscall.Close(fd)
	// A socket's path is short; a test's directory may not be.
	t.Chdir(dir)
	must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: "socket"}))
	write(t, filepath.Join(outside, "secret"), "stolen")
	must(t, os.Link(filepath.Join(outside, "secret"), filepath.Join(dir, "hard")))
	must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "absolute")))
	must(t, os.Symlink("../../x", filepath.Join(dir, "up")))
	write(t, filepath.Join(dir, "es\x1bcape"), "x")
	return dir
}

func TestPackRefuses(t *testing.T) {
	dir := nasty(t)
	for _, c := range []struct {
		name string
		o    Options
		want []string // beginnings of the lines
	}{
		{"to the host", Options{}, []string{
			"absolute: a link that leads out of the tree", `"es\x1bcape": its name holds control characters`,
			"pipe: a named pipe", "socket: a socket", "up: a link that leads out of the tree: ../../x", "hard: a hard link of a file outside",
		}},
		{"into a bottle", Options{Bottle: true}, []string{"pipe: a named pipe", "socket: a socket", "hard: a hard link of a file outside"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.As = "d"
			var b bytes.Buffer
			_, err := Pack(open(t, dir), ".", &b, c.o)
			var refused *Refused
			if !errors.As(err, &refused) {
				t.Fatalf("got %v", err)
			}
			if b.Len() > 0 {
				t.Errorf("%d bytes were sent before", b.Len())
			}
			got := refused.Lines()
			for i, want := range c.want {
				if i >= len(got) || !strings.HasPrefix(got[i], want) {
					t.Errorf("line %d: want %q of\n%s", i, want, err)
				}
			}
			if refused.Count != len(c.want) {
				t.Errorf("%d refusals: %s", refused.Count, err)
			}
			c.o.Skip = true
			r, err := Pack(open(t, dir), ".", &b, c.o)
			if err != nil || r.Refused.Count != len(c.want) || r.Files == 0 {
				t.Errorf("without them: %+v, %v", r, err)
			}
			if bytes.Contains(b.Bytes(), []byte("stolen")) {
				t.Error("the content of the hard link was sent")
			}
		})
	}
}

func TestPackLists(t *testing.T) {
	dir := t.TempDir()
	for i := range 31 {
		must(t, syscall.Mkfifo(filepath.Join(dir, fmt.Sprintf("p%02d", i)), 0o644))
	}
	_, err := Pack(open(t, dir), ".", io.Discard, Options{As: "d"})
	for _, want := range []string{"31 paths cannot be copied:\n", "\n  p19: a named pipe", "\n  and 11 more"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// What becomes bad between the two looks is still refused.
func TestPackLooksTwice(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, "secret")
	for name, change := range map[string]func(path string) error{
		"pipe":      func(p string) error { return syscall.Mkfifo(p, 0o644) },
		"link out":  func(p string) error { return os.Symlink(outside, p) },
		"hard link": func(p string) error { return os.Link(outside, p) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a"), "a")
			write(t, filepath.Join(dir, "b"), "b")
			var out bytes.Buffer
			_, err := Pack(open(t, dir), ".", &out, Options{As: "d", On: func(string) {
				p := filepath.Join(dir, "b")
				_ = os.Remove(p)
				_ = change(p)
			}})
			if err == nil || !strings.Contains(err.Error(), "since a moment ago") {
				t.Errorf("got %v", err)
			}
			if bytes.Contains(out.Bytes(), []byte("secret")) {
				t.Error("it was sent")
			}
		})
	}
}

// Somebody swaps files and directories for links all the while: whatever is
// sent, it is never content from outside of the tree.
func TestPackUnderSwaps(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for i := range 20 {
		write(t, filepath.Join(outside, fmt.Sprintf("f%d", i)), "stolen")
	}
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		d, f := filepath.Join(dir, "d"), filepath.Join(dir, "f")
		for i := 0; !stop.Load(); i++ {
			_ = os.RemoveAll(d)
			_ = os.RemoveAll(f)
			if i%2 == 0 {
				_ = os.Symlink(outside, d)
				_ = os.Symlink(filepath.Join(outside, "f1"), f)
				continue
			}
			_ = os.Mkdir(d, 0o755)
			for j := range 20 {
				_ = os.WriteFile(filepath.Join(d, fmt.Sprintf("f%d", j)), []byte("own"), 0o644)
			}
			_ = os.WriteFile(f, []byte("own"), 0o644)
		}
	}()
	sent := 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		for _, bottle := range []bool{true, false} {
			var b bytes.Buffer
			r, _ := Pack(open(t, dir), ".", &b, Options{As: "d", Bottle: bottle, Skip: true})
			if sent += r.Files; bytes.Contains(b.Bytes(), []byte("stolen")) {
				t.Fatal("content from outside was sent")
			}
		}
	}
	stop.Store(true)
	<-done
	if sent == 0 {
		t.Error("nothing was ever sent: the test shows nothing")
	}
}

// The other side: a directory of the destination is swapped for a link while
// a stream is written into it.
func TestUnpackUnderSwaps(t *testing.T) {
	p := newPlace(t)
	sub := filepath.Join(p.outside, "dest", "sub")
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !stop.Load(); i++ {
			_ = os.RemoveAll(sub)
			if i%2 == 0 {
				_ = os.Symlink(p.outside, sub)
			} else {
				_ = os.Mkdir(sub, 0o755)
			}
		}
	}()
	in := archive(t, dir("d/"), file("d/a", "a"), dir("d/b/"), file("d/b/c", "c"), link("d/l", "a"))
	written := 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		r, _ := Unpack(bytes.NewReader(in), p.root, Options{As: "sub"})
		written += r.Files
	}
	stop.Store(true)
	<-done
	if p.untouched(); written == 0 {
		t.Error("nothing was ever written: the test shows nothing")
	}
}

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "x")
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(t, os.Symlink("sub", filepath.Join(dir, "link")))
	for _, c := range []struct {
		to, base string
		want     Options
		in       string // where the root is
		fails    string
	}{
		{"new", "b", Options{As: "new"}, ".", ""},
		{"new/", "b", Options{As: "new", Dir: true}, ".", ""},
		{"sub", "b", Options{As: "b"}, "sub", ""},
		{"sub", "", Options{As: ".", Dir: true}, "sub", ""},
		{"link", "b", Options{As: "b"}, "sub", ""},
		{"new", "", Options{As: "new", Dir: true}, ".", ""},
		{"file", "b", Options{As: "file"}, ".", ""},
		{"file/", "b", Options{}, "", "not a directory"},
		{"none/new", "b", Options{}, "", "no such file"},
	} {
		root, o, err := To(dir+"/"+c.to, c.base)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v, want %q", c.to, err, c.fails)
			}
			continue
		}
		must(t, err)
		here, _ := root.Stat(".")
		there, _ := os.Stat(filepath.Join(dir, c.in))
		if o.As != c.want.As || o.Dir != c.want.Dir || !os.SameFile(here, there) {
			t.Errorf("%s %q: %+v in %s, want %+v in %s", c.to, c.base, o, root.Name(), c.want, c.in)
		}
		must(t, root.Close())
	}
	for file, want := range map[string]string{"file": "file", "sub": ".", "link": ".", "sub/": ".", "sub/.": "."} {
		root, name, _, err := From(dir + "/" + file)
		if must(t, err); name != want {
			t.Errorf("%s is %s in %s", file, name, root.Name())
		}
		must(t, root.Close())
	}
	for _, bad := range []string{"/", dir + "/none"} {
		if _, _, _, err := From(bad); err == nil {
			t.Errorf("%s is a source", bad)
		}
	}
	for file, want := range map[string]bool{".": true, "a/.": true, "..": true, "a": false, "a/": false, ".a": false} {
		if Merges(file) != want {
			t.Errorf("%s: %v", file, !want)
		}
	}
}
