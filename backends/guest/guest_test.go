package guest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/spec"
)

func TestWithAuthority(t *testing.T) {
	once := WithAuthority([]byte("roots"), []byte("one\n"))
	twice := WithAuthority(once, []byte("two\n"))
	if want := "roots\n" + caMark + "two\n"; string(twice) != want {
		t.Errorf("got %q, want %q", twice, want)
	}
}

func TestArchiveRefuses(t *testing.T) {
	for _, f := range []spec.File{
		{Path: "/etc/passwd"}, {Path: "relative"}, {Path: spec.Home + "/../x"}, {Path: spec.Home + "2/x"}, {Path: "/", Root: true},
	} {
		if err := NewArchive().Add(f); err == nil {
			t.Errorf("%+v is taken", f)
		}
	}
}

func TestTail(t *testing.T) {
	b := &Tail{Limit: 4}
	for range 100 {
		_, _ = b.Write([]byte("0123456789"))
	}
	if b.String() != "6789" || cap(b.data) > 64 {
		t.Errorf("kept %q of capacity %d", b, cap(b.data))
	}
}

func TestPlainWriter(t *testing.T) {
	var out strings.Builder
	p := &PlainWriter{To: &out}
	for _, b := range []byte("a\x1b[2J é\u202e…\r\nb") {
		if n, err := p.Write([]byte{b}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got, want := out.String(), "a[2J é…\nb"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPlaced lists what a spec places: topmost directories and single files.
func TestPlaced(t *testing.T) {
	s := &spec.Spec{Files: []spec.File{
		{Path: spec.PromptFile, Part: spec.PartPrompt},
		{Path: spec.Home + "/.conf"},
		{Path: spec.Home + "/.tool/skills/one", Dir: true, Part: spec.PartSkills},
		{Path: spec.Home + "/.tool/skills/one/SKILL.md", Part: spec.PartSkills},
		{Path: spec.Home + "/.tool/skills/one-more", Dir: true, Part: spec.PartSkills},
	}}
	got := map[string][]string{}
	for part, p := range Placing(s) {
		got[part] = p.Paths
	}
	want := map[string][]string{
		spec.PartPrompt: {spec.PromptFile},
		spec.PartSkills: {spec.Home + "/.tool/skills/one", spec.Home + "/.tool/skills/one-more"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The directory that a plan showed is the one that is used: what took its
// place since is not (F2).
func TestOpenWorkspace(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.Mkdir(filepath.Join(base, "src"), 0o755), os.WriteFile(filepath.Join(base, "file"), nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "src", "etc": "/etc"} {
		if err := os.Symlink(to, filepath.Join(base, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, good := range map[string]bool{"src": true, "link": false, "etc": false, "file": false, "none": false, "etc/ssl": false, "src/..": false} {
		root, err := OpenWorkspace(spec.Workspace{Mode: "mount", Path: base + "/" + path})
		if (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
		if err == nil {
			_ = root.Close()
		} else if !strings.Contains(err.Error(), "is not the directory it was") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A record that names what bb never placed names nothing.
func TestReadRecord(t *testing.T) {
	for text, want := range map[string]int{
		`{"skills":{"paths":["/home/node/.tool/x"]},"git":{"keys":["a.b"]}}`: 2,
		`{"skills":{"paths":["/etc"]},"git":{"keys":["a.b"]}}`:               0,
		`{"skills":{"paths":["/home/node/../x"]}}`:                           0,
		`null`: 0, `[]`: 0, ``: 0,
	} {
		if got := ReadRecord([]byte(text)); got == nil || len(got) != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
