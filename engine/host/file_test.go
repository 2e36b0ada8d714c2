package host

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/engine/provider"
)

const token = "hush-0123456789"

// write makes a file with exactly this mode, whatever the umask is.
func write(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// soon fails a test that hangs.
func soon(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatal("hangs")
	}
}

func TestFile(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	at := func(name string) string { return filepath.Join(home, name) }
	fine := write(t, at("fine"), token+"\n", 0o600)
	if err := os.Symlink(fine, at("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at("dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("dir"), at("linked-dir")); err != nil {
		t.Fatal(err)
	}
	write(t, at("dir/inner"), token, 0o400)
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ path, want, err string }{
		"a line":              {fine, token, ""},
		"below home":          {"~/fine", token, ""},
		"without line feed":   {write(t, at("bare"), token, 0o600), token, ""},
		"one line feed goes":  {write(t, at("two"), token+"\n\n", 0o600), token + "\n", ""},
		"read only":           {write(t, at("ro"), token, 0o400), token, ""},
		"in a linked place":   {at("linked-dir/inner"), token, ""},
		"empty":               {write(t, at("empty"), "", 0o600), "", ""},
		"largest":             {write(t, at("max"), strings.Repeat("a", maxToken), 0o600), strings.Repeat("a", maxToken), ""},
		"too large":           {write(t, at("large"), strings.Repeat("a", maxToken+1), 0o600), "", "it is larger than 64 KiB"},
		"endless":             {"/dev/zero", "", "it is not a regular file"},
		"readable by group":   {write(t, at("g"), token, 0o640), "", "its mode is 0640, more than its owner's to read and write (chmod 600 " + at("g") + ")"},
		"readable by all":     {write(t, at("o"), token, 0o604), "", "its mode is 0604"},
		"writable by all":     {write(t, at("w"), token, 0o602), "", "its mode is 0602"},
		"executable":          {write(t, at("x"), token, 0o700), "", "its mode is 0700"},
		"link":                {at("link"), "", "it is a symbolic link (name the file itself)"},
		"fifo":                {at("fifo"), "", "it is not a regular file"},
		"directory":           {at("dir"), "", "it is a directory"},
		"nothing there":       {at("nope"), "", "no such file or directory (write the token alone into it, then: chmod 600 "},
		"in what is no place": {fine + "/x", "", "not a directory"},
	} {
		soon(t, 5*time.Second, func() {
			got, err := File(tt.path)
			switch {
			case tt.err == "" && (err != nil || got != tt.want):
				t.Errorf("%s: %q, %v", name, got, err)
			case tt.err != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.err) || got != ""):
				t.Errorf("%s: %q, %v; want %q", name, got, err, tt.err)
			case err != nil && strings.Contains(err.Error(), token):
				t.Errorf("%s: the error shows the value: %v", name, err)
			}
		})
	}
}

// A file of somebody else may be changed by them, except root's.
func TestFileOfAnother(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), token, 0o600)
	owner := os.Geteuid()
	if owner == 0 { // then a file can be given away
		owner = 12345
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
		if _, err := File(path); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
			t.Errorf("root takes the file of %d: %v", owner, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := private(info, path, owner); err != nil {
		t.Errorf("its own: %v", err)
	}
	if err := private(info, path, owner+1); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("another's: %v", err)
	}
	of0, err := os.Stat("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	if err := private(of0, path, owner); err == nil || !strings.HasPrefix(err.Error(), "its mode is") {
		t.Errorf("root's: %v", err)
	}
}

// Source: reference behaviours of codex, which asks for a file and may be told
// another directory.
func TestAnswer(t *testing.T) {
	home, other := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("EXAMPLE_HOME", "")
	ask := provider.Ask{Name: "login", DirVar: "EXAMPLE_HOME", Dir: "~/.example", File: "auth.json"}
	a := Answer(ask)
	if a.Path != home+"/.example/auth.json" || a.Err == nil || a.Text != nil {
		t.Errorf("%+v", a)
	}
	t.Setenv("EXAMPLE_HOME", other)
	write(t, other+"/auth.json", "{}", 0o644)
	if a = Answer(ask); a.Path != other+"/auth.json" || a.Err != nil || string(a.Text) != "{}" {
		t.Errorf("%+v", a)
	}
	write(t, other+"/auth.json", strings.Repeat("a", maxAnswer+1), 0o644)
	if a = Answer(ask); a.Err == nil || a.Text != nil {
		t.Errorf("%d bytes, %v", len(a.Text), a.Err)
	}
	if err := os.Remove(other + "/auth.json"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(other+"/auth.json", 0o600); err != nil {
		t.Fatal(err)
	}
	soon(t, 5*time.Second, func() {
		if a := Answer(ask); a.Err == nil {
			t.Errorf("%+v", a)
		}
	})
}

func TestVariable(t *testing.T) {
	t.Setenv("EXAMPLE", "")
	if v, err := Variable("EXAMPLE"); v != "" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if _, err := Variable("EXAMPLE_THAT_IS_NOT_THERE"); err == nil {
		t.Error("an unset variable has a value")
	}
}
