package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/backends/smolvm/hostside"
)

// What is written to standard error is in the file, also after it was halved,
// and counts.
func TestBoundedLogIsStderr(t *testing.T) {
	saved, err := unix.Dup(2)
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.NewFile(uintptr(saved), "stderr")
	defer stderr.Close()
	path := filepath.Join(t.TempDir(), "log")
	l, err := openBoundedLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dies := func(text string) {
		t.Helper()
		if _, err := unix.Write(2, []byte(text)); err != nil {
			t.Error(err)
		}
	}
	func() {
		defer func() {
			if err := hostside.Onto(stderr, 2); err != nil {
				t.Fatal(err)
			}
		}()
		if err := l.takeStderr(); err != nil {
			t.Fatal(err)
		}
		l.note("first")
		dies("raw one\n")
		l.note("second")
		b, err := os.ReadFile(path)
		if lines := strings.Split(string(b), "\n"); err != nil || len(lines) != 4 || !strings.HasSuffix(lines[0], " first") || lines[1] != "raw one" || !strings.HasSuffix(lines[2], " second") {
			t.Errorf("%q, %v", b, err)
		}
		dies(strings.Repeat(strings.Repeat("x", 99)+"\n", maxBoundedLog/50))
		l.note("third")
		dies("raw two\n")
	}()
	b, err := os.ReadFile(path)
	if err != nil || len(b) > maxBoundedLog || !bytes.HasSuffix(b, []byte(" third\nraw two\n")) || !bytes.HasPrefix(b, []byte("xxx")) {
		t.Errorf("%d bytes that end with %q, %v", len(b), b[max(0, len(b)-60):], err)
	}
}
