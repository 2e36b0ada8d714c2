package dash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// terminal is a shell in tmux.
type terminal struct {
	t      *testing.T
	socket string
}

func newTerminal(t *testing.T, width, height int, env ...string) *terminal {
	t.Helper()
	if out, err := exec.Command("../../../../hack/tmux").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("hack/tmux: %v\n%s", err, out)
		}
		t.Skipf("no tmux: NOT RUN\n%s", out)
	}
	tm := &terminal{t, filepath.Join(t.TempDir(), "tmux")}
	args := []string{"-u", "-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height)}
	for _, e := range append(env, "PS1=ready> ", "TERM=screen", "NO_COLOR=1", "TZ=UTC") {
		args = append(args, "-e", e)
	}
	tm.tmux(append(args, "sh")...)
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", tm.socket, "kill-server").Run() }) // one may have ended with its shell
	return tm
}

func (tm *terminal) tmux(args ...string) string {
	tm.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", tm.socket}, args...)...).CombinedOutput()
	if err != nil {
		tm.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

func (tm *terminal) types(keys ...string) {
	tm.t.Helper()
	tm.tmux(append([]string{"send-keys"}, keys...)...)
}

// frame is what the terminal shows now, without the blanks at ends of lines.
func (tm *terminal) frame() string {
	tm.t.Helper()
	return trimmed(tm.tmux("capture-pane", "-p"))
}

func (tm *terminal) shows(text string) string {
	tm.t.Helper()
	var got string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = tm.frame(); strings.Contains(got, text) {
			return got
		}
	}
	tm.t.Fatalf("the terminal never shows %q but:\n%s", text, got)
	return ""
}

// hides waits until the screen does not show text any more.
func (tm *terminal) hides(text string) {
	tm.t.Helper()
	for end := time.Now().Add(30 * time.Second); strings.Contains(tm.frame(), text); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			tm.t.Fatalf("%q stays on the screen:\n%s", text, tm.frame())
		}
	}
}

// usable asserts that the shell is back, with its echo and its cursor.
func (tm *terminal) usable() {
	tm.t.Helper()
	tm.types("clear; stty -a | grep -c ' echo '; echo usable-$((1+1))", "Enter")
	if got := tm.shows("usable-2"); !strings.Contains(got, "1\nusable-2") {
		tm.t.Errorf("the terminal is not as before:\n%s", got)
	}
	if got := strings.TrimSpace(tm.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}")); got != "0 1" {
		tm.t.Errorf("alternate screen and cursor: %s", got)
	}
}

// trimmed is a frame without the blanks at ends of lines.
func trimmed(frame string) string {
	var out []string
	for _, l := range strings.Split(strings.TrimRight(frame, "\n "), "\n") {
		out = append(out, strings.TrimRight(l, " "))
	}
	return strings.Join(out, "\n")
}

// built is the real bb, built once; TestMain removes it.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "bb-dash-")
	if err != nil {
		return "", err
	}
	return dir, build(filepath.Join(dir, "bb"))
})

func build(to string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"build", "-o", to}, flags...), "github.com/bot-bottle/bb/cmd/bb")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil { // whoever reads sees it whole
		t.Fatal(err)
	}
}
