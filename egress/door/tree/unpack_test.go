package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// place is a destination with something around it that must stay as it is.
type place struct {
	t       *testing.T
	outside string
	root    *os.Root
}

func newPlace(t *testing.T) *place {
	t.Helper()
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), "secret")
	dest := filepath.Join(outside, "dest")
	if err := os.MkdirAll(filepath.Join(dest, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dest, "kept"), "kept")
	for link, to := range map[string]string{"out": "..", "abs": outside, "file": "../secret", "in": "sub"} {
		if err := os.Symlink(to, filepath.Join(dest, link)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return &place{t, outside, root}
}

// untouched fails unless all but the destination is as it was.
func (p *place) untouched() {
	p.t.Helper()
	var got []string
	err := filepath.WalkDir(p.outside, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(p.outside, path)
		got = append(got, rel)
		if rel == "dest" {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	text, _ := os.ReadFile(filepath.Join(p.outside, "secret"))
	if diff := cmp.Diff([]string{".", "dest", "secret"}, got); diff != "" || string(text) != "secret" {
		p.t.Errorf("outside the destination (-want +got):\n%s\nsecret is %q", diff, text)
	}
}

// content lists the destination: "name", "name/", "name -> target".
func (p *place) content(dir string) []string {
	p.t.Helper()
	return contentOf(p.t, filepath.Join(p.outside, "dest", dir))
}

func contentOf(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		switch {
		case rel == ".":
		case d.IsDir():
			out = append(out, rel+"/")
		case d.Type()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			out = append(out, rel+" -> "+to)
		default:
			out = append(out, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

type entry struct {
	name string
	flag byte
	text string // content, or the target of a link
	mode int64
	pax  map[string]string
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.flag, Mode: e.mode, PAXRecords: e.pax, Uid: 0, Uname: "root"}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		switch e.flag {
		case 0, tar.TypeReg:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(e.text))
		default:
			h.Linkname = e.text
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, e.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func dir(name string) entry           { return entry{name: name, flag: tar.TypeDir, mode: 0o755} }
func file(name, text string) entry    { return entry{name: name, text: text} }
func link(name, to string) entry      { return entry{name: name, flag: tar.TypeSymlink, text: to} }
func hard(name, to string) entry      { return entry{name: name, flag: tar.TypeLink, text: to} }
func other(name string, f byte) entry { return entry{name: name, flag: f} }

// Nasty archives, each for a new name on the host.
func TestUnpackRefuses(t *testing.T) {
	long := strings.Repeat("n", 300)
	for name, c := range map[string]struct {
		entries []entry
		why     string
	}{
		"zip slip":                 {[]entry{dir("d/"), file("d/../../x", "x")}, "leads out of the tree"},
		"zip slip at the top":      {[]entry{file("../x", "x")}, "leads out of the tree"},
		"absolute":                 {[]entry{dir("d/"), file("/etc/x", "x")}, "leads out of the tree"},
		"another top":              {[]entry{dir("d/"), file("e/x", "x")}, "beside the one thing"},
		"a dot as the top":         {[]entry{dir("./"), file("./x", "x")}, "beside the one thing"},
		"file through a link":      {[]entry{dir("d/"), dir("d/s/"), link("d/l", "s"), file("d/l/x", "x")}, "l is there and is not a directory"},
		"directory through a link": {[]entry{dir("d/"), dir("d/s/"), link("d/l", "s"), dir("d/l/x/")}, "l is there and is not a directory"},
		"file through an absolute link": {
			[]entry{dir("d/"), link("d/l", "/tmp"), file("d/l/x", "x")}, "l: a link that leads out of the tree: /tmp",
		},
		"link up":                    {[]entry{dir("d/"), link("d/l", "..")}, "leads out of the tree: .."},
		"link up by two":             {[]entry{dir("d/"), dir("d/a/"), link("d/a/l", "../../x")}, "leads out of the tree"},
		"link through another":       {[]entry{dir("d/"), dir("d/a/"), dir("d/a/b/"), link("d/a/b/s", "../../a"), link("d/a/b/l", "s/../../x")}, "leads out of the tree: s/../../x"},
		"link with a newline":        {[]entry{dir("d/"), link("d/l", "a\nb")}, "its target holds control characters"},
		"link to nothing":            {[]entry{dir("d/"), link("d/l", "")}, "empty or overlong"},
		"link to a very long path":   {[]entry{dir("d/"), link("d/l", strings.Repeat("a/", 2500))}, "empty or overlong"},
		"top is a link":              {[]entry{link("d", "x")}, "leads out of the tree"},
		"hard link":                  {[]entry{dir("d/"), hard("d/l", "/etc/passwd")}, "a hard link to /etc/passwd"},
		"hard link inside":           {[]entry{dir("d/"), file("d/x", "x"), hard("d/l", "d/x")}, "a hard link"},
		"character device":           {[]entry{dir("d/"), other("d/n", tar.TypeChar)}, "a device"},
		"block device":               {[]entry{dir("d/"), other("d/n", tar.TypeBlock)}, "a device"},
		"named pipe":                 {[]entry{dir("d/"), other("d/n", tar.TypeFifo)}, "a named pipe"},
		"unknown type":               {[]entry{dir("d/"), other("d/n", 'Q')}, "n: neither a file nor a directory"},
		"long name":                  {[]entry{dir("d/"), file("d/"+long, "x")}, "longer than 255"},
		"long path":                  {[]entry{dir("d/"), file("d/"+strings.Repeat("n/", 2500)+"x", "x")}, "longer than 4096"},
		"control characters":         {[]entry{dir("d/"), file("d/a\x1b[2Jb", "x")}, `"a\x1b[2Jb": its name holds control`},
		"newline":                    {[]entry{dir("d/"), file("d/a\nb", "x")}, "control characters"},
		"directory over a file":      {[]entry{dir("d/"), file("d/x", "x"), dir("d/x/")}, "is not a directory"},
		"file over a directory":      {[]entry{dir("d/"), dir("d/x/"), file("d/x", "x")}, "a directory is in its place"},
		"link over a directory":      {[]entry{dir("d/"), dir("d/x/"), link("d/x", "y")}, "a directory is in its place"},
		"directory replaced by link": {[]entry{dir("d/"), dir("d/x/"), link("d/x", "y"), file("d/x/z", "z")}, "a directory is in its place"},
		"sparse":                     {[]entry{dir("d/"), {name: "d/x", pax: map[string]string{"XNU.sparse.name": "x", "XNU.sparse.major": "9"}}}, "sparse"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			before := p.content(".")
			in := archive(t, c.entries...)
			// A writer keeps these records to itself.
			in = bytes.ReplaceAll(in, []byte("XNU.sparse"), []byte("GNU.sparse"))
			_, err := Unpack(bytes.NewReader(in), p.root, Options{As: "new"})
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want %q", err, c.why)
			}
			p.untouched()
			if diff := cmp.Diff(before, p.content(".")); diff != "" {
				t.Errorf("something is left (-want +got):\n%s", diff)
			}
			// The rest is written where that is asked for, and no more.
			_, _ = Unpack(bytes.NewReader(in), p.root, Options{As: "new", Skip: true})
			p.untouched()
		})
	}
}

// What is there already is never written through.
func TestUnpackInto(t *testing.T) {
	for name, c := range map[string]struct {
		as, why string
		entries []entry
	}{
		"a link up":          {"out", "is there and is not a directory", []entry{dir("d/"), file("d/x", "x")}},
		"an absolute link":   {"abs", "is there and is not a directory", []entry{dir("d/"), file("d/x", "x")}},
		"below a link up":    {".", "out is there and is not a directory", []entry{dir("d/"), file("d/out/x", "x")}},
		"below a link in":    {".", "in is there and is not a directory", []entry{dir("d/"), file("d/in/x", "x")}},
		"directory on a":     {"kept", "is there and is not a directory", []entry{dir("d/"), file("d/x", "x")}},
		"file on a dir":      {"sub", "a directory is in its place", []entry{file("d", "x")}},
		"file for a dir":     {".", "not a directory", []entry{file("d", "x")}},
		"any names, and out": {"", "is there and is not a directory", []entry{file("out/x", "x")}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			_, err := Unpack(bytes.NewReader(archive(t, c.entries...)), p.root, Options{As: c.as, Dir: c.as == "."})
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want %q", err, c.why)
			}
			p.untouched()
		})
	}
	t.Run("a file in the place of a link", func(t *testing.T) {
		p := newPlace(t)
		if _, err := Unpack(bytes.NewReader(archive(t, file("d", "new"))), p.root, Options{As: "file"}); err != nil {
			t.Fatal(err)
		}
		p.untouched()
		if b, err := p.root.ReadFile("file"); err != nil || string(b) != "new" {
			t.Errorf("file holds %q, %v", b, err)
		}
	})
}

func TestUnpack(t *testing.T) {
	p := newPlace(t)
	var named []string
	in := archive(t,
		dir("any/"), dir("any/bin/"),
		entry{name: "any/bin/run", text: "#!", mode: 0o6775},
		entry{name: "any/secret", text: "s", mode: 0o600},
		entry{name: "any/locked", flag: tar.TypeDir, mode: 0o1000}, file("any/locked/x", "x"),
		link("any/l", "bin/run"), link("any/bin/up", "../secret"),
		file("any/twice", "first"), file("any/twice", "second"),
		file("any/"+strings.Repeat("long/", 40)+"x", "x"),
	)
	r, err := Unpack(bytes.NewReader(in), p.root, Options{As: "new", On: func(n string) { named = append(named, n) }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Files != 6 || r.Links != 2 || len(named) != 8 {
		t.Errorf("%+v, %v", r, named)
	}
	for name, want := range map[string]fs.FileMode{
		"new/bin/run": 0o755, "new/secret": 0o600, "new/locked": fs.ModeDir | 0o700, "new": fs.ModeDir | 0o755,
	} {
		if info, err := p.root.Lstat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, want %v (%v)", name, info.Mode(), want, err)
		}
	}
	if b, _ := p.root.ReadFile("new/twice"); string(b) != "second" {
		t.Errorf("twice is %q", b)
	}
	// Once more, into what is there now.
	if _, err := Unpack(bytes.NewReader(in), p.root, Options{As: "new"}); err != nil {
		t.Error(err)
	}
	p.untouched()
}

// Wherever a stream ends, nothing half is left under a final name.
func TestUnpackTruncated(t *testing.T) {
	in := archive(t, dir("d/"), file("d/a", strings.Repeat("a", 1000)), file("d/b", strings.Repeat("b", 700)))
	end := len(in) - 1 // the last byte of the second empty block
	for n := 0; n <= end; n += 97 {
		p := newPlace(t)
		before := p.content(".")
		for _, as := range []string{"new", "."} {
			_, err := Unpack(bytes.NewReader(in[:n]), p.root, Options{As: as})
			if !errors.Is(err, errTruncated) {
				t.Fatalf("%d bytes as %s: %v", n, as, err)
			}
			if as == "new" {
				if diff := cmp.Diff(before, p.content(".")); diff != "" {
					t.Fatalf("%d bytes: something is left (-want +got):\n%s", n, diff)
				}
			}
		}
		for name, want := range map[string]int{"a": 1000, "b": 700} {
			if info, err := p.root.Lstat(name); err == nil && info.Size() != int64(want) {
				t.Fatalf("%d bytes: %s has %d", n, name, info.Size())
			}
		}
		for _, name := range p.content(".") {
			if strings.Contains(name, ".bb-cp-") {
				t.Fatalf("%d bytes: %s is left", n, name)
			}
		}
	}
	p := newPlace(t)
	if _, err := Unpack(bytes.NewReader(append(in, make([]byte, 9000)...)), p.root, Options{As: "new"}); err != nil {
		t.Errorf("with padding: %v", err)
	}
	if _, err := Unpack(io.MultiReader(bytes.NewReader(in), zeros{}), p.root, Options{As: "new"}); err == nil {
		t.Error("an endless end is accepted")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A header may claim any size: what counts is what comes.
func TestUnpackHugeSize(t *testing.T) {
	p := newPlace(t)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "d/x", Typeflag: tar.TypeReg, Mode: 0o644, Size: 1 << 60},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Unpack(bytes.NewReader(b.Bytes()), p.root, Options{As: "new"})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, errTruncated) {
		t.Error(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d bytes of memory", used)
	}
	p.untouched()
}

// FuzzUnpack: whatever the bytes are, nothing appears outside the destination,
// no link in it leads out, and a failed new tree leaves nothing.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, dir("d/"), file("d/a", "a"), link("d/l", "a"), link("d/sub/../x", "..")), byte(0))
	f.Add(archive(f, dir("d/"), dir("d/s/"), link("d/l", "s"), file("d/l/x", "x"), hard("d/h", "d/a")), byte(1))
	f.Add(archive(f, file("a", "a"), file("../b", "b"), link("c", "/etc"), file("c/passwd", "x")), byte(2))
	f.Add(archive(f, entry{name: "d", pax: map[string]string{"path": "../../x", "size": "9"}}), byte(3))
	f.Add(archive(f, dir("d/"), file("d/"+strings.Repeat("l", 200), "x"), file("d/"+strings.Repeat("m/", 200)+"x", "")), byte(7))
	f.Fuzz(func(t *testing.T, in []byte, how byte) {
		p := newPlace(t)
		before := p.content(".")
		o := Options{As: []string{"new", ".", "", "sub"}[how%4], Skip: how&4 != 0}
		_, err := Unpack(bytes.NewReader(in), p.root, o)
		p.untouched()
		if err != nil && o.As == "new" {
			if diff := cmp.Diff(before, p.content(".")); diff != "" {
				t.Errorf("%v, and something is left (-want +got):\n%s", err, diff)
			}
		}
		base, _ := filepath.EvalSymlinks(filepath.Join(p.outside, "dest"))
		for _, line := range p.content(".") {
			name, _, isLink := strings.Cut(line, " -> ")
			if !isLink || name == "out" || name == "abs" || name == "file" {
				continue
			}
			to, err := filepath.EvalSymlinks(filepath.Join(base, name))
			if err == nil && to != base && !strings.HasPrefix(to, base+"/") {
				// What was there before leads out by itself.
				if !strings.Contains(line, "out") && !strings.Contains(line, "abs") && !strings.Contains(line, "file") {
					t.Errorf("%s leads to %s", line, to)
				}
			}
		}
	})
}
