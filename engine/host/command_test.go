package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shell runs a script with a short limit. It holds every case to the time
// after which nothing waits any more.
func shell(t *testing.T, script string) (string, error) {
	t.Helper()
	var out string
	var err error
	soon(t, 10*time.Second, func() { out, err = command(t.Context(), []string{"/bin/sh", "-c", script}, 2*time.Second) })
	if err != nil && strings.Contains(err.Error(), token) {
		t.Errorf("%s: the error shows what it wrote: %v", script, err)
	}
	return out, err
}

func TestCommand(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for name, tt := range map[string]struct{ script, want, err string }{
		"a line":             {"echo " + token, token, ""},
		"two lines":          {"echo a; echo b", "a\nb", ""},
		"one line feed goes": {`printf 'a\n\n'`, "a\n", ""},
		"nothing":            {":", "", ""},
		"largest":            {fmt.Sprintf("head -c %d /dev/zero | tr '\\0' a", maxToken), strings.Repeat("a", maxToken), ""},
		"input is empty":     {"cat; echo end", "end", ""},
		"stderr is nobody's": {"echo " + token + " >&2; echo x", "x", ""},
		"no terminal":        {"echo x >/dev/tty || echo none", "none", ""},
		"its own session":    {"[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leads", "leads", ""},
		"fails":              {"echo " + token + "; echo " + token + " >&2; exit 3", "", "it exited with code 3 (run it by hand"},
		"dies":               {"echo " + token + "; kill -9 $$", "", "it was ended by a signal"},
		"writes too much":    {"yes " + token, "", "it wrote more than 64 KiB"},
		"one byte too much":  {fmt.Sprintf("head -c %d /dev/zero", maxToken+1), "", "it wrote more than 64 KiB"},
		"never ends":         {"echo " + token + "; sleep 60", "", "it took longer than 2s"},
		"never ends twice":   {"sleep 60 & sleep 60", "", "it took longer than 2s"},
		"ignores signals":    {"trap '' TERM INT HUP; while :; do sleep 1; done", "", "it took longer than 2s"},
		"stops":              {"kill -STOP $$", "", "it took longer than 2s"},
		"holds the pipe":     {"echo " + token + "; sleep 60 & exit 0", "", "it ended, but something that it started keeps its output open"},
		"hides in a session": {"echo " + token + "; setsid sleep 3 & exit 0", "", "it ended, but something"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := shell(t, tt.script)
			switch {
			case tt.err == "" && (err != nil || got != tt.want):
				t.Errorf("%d bytes %.40q, %v", len(got), got, err)
			case tt.err != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.err) || got != ""):
				t.Errorf("%.40q, %v; want %q", got, err, tt.err)
			}
		})
	}
}

// What a command left running in its session ends with it.
func TestCommandLeavesNothing(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for name, script := range map[string]string{
		"after its end":  "sleep 300 >/dev/null 2>&1 & echo $! > pid",
		"over its time":  "sleep 300 & echo $! > pid; wait",
		"after a mishap": "sleep 300 >/dev/null 2>&1 & echo $! > pid; exit 1",
	} {
		_, _ = shell(t, script)
		text, err := os.ReadFile(filepath.Join(home, "pid"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		for begin := time.Now(); alive(pid); time.Sleep(20 * time.Millisecond) {
			if time.Since(begin) > 5*time.Second {
				t.Errorf("%s: %d lives", name, pid)
				break
			}
		}
	}
}

// alive is false for one that ended and that nobody has waited for.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func TestCommandIsCancelled(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	soon(t, 5*time.Second, func() {
		if _, err := command(ctx, []string{"/bin/sh", "-c", "sleep 60"}, time.Minute); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestCommandsEnvironment(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("EXAMPLE", "kept")
	t.Setenv("BB_HOME", "/nowhere")
	t.Setenv("PATH", ".:bin::/usr/bin:/bin")
	t.Chdir(t.TempDir())
	got, err := shell(t, `echo "$(pwd -P) $EXAMPLE [$BB_HOME] $PATH $PWD"`)
	want := fmt.Sprintf("%s kept [] /usr/bin:/bin %s", home, home)
	if err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// A program in the working directory, where a cloned repository may have put
// it, is never the one that PATH means.
func TestProgram(t *testing.T) {
	good, evil := t.TempDir(), t.TempDir()
	t.Setenv("HOME", t.TempDir())
	t.Chdir(evil)
	for _, dir := range []string{good, evil, evil + "/bin"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, dir+"/both", "#!/bin/sh\necho "+filepath.Base(dir)+"\n", 0o755)
	}
	write(t, evil+"/only-here", "#!/bin/sh\n", 0o755)
	write(t, good+"/plain", "#!/bin/sh\n", 0o644)
	if err := os.Mkdir(good+"/directory", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", ":.:bin:"+good+":/bin")
	for name, want := range map[string]string{
		"both":          good + "/both",
		good + "/both":  good + "/both",
		"only-here":     "!only-here is in no directory of PATH",
		"plain":         "!plain is in no directory of PATH",
		"directory":     "!directory is in no directory of PATH",
		"./both":        "!./both is a relative path (write an absolute path)",
		"bin/both":      "!bin/both is a relative path",
		good + "/plain": "!" + good + "/plain: permission denied",
		good + "/nope":  "!" + good + "/nope: no such file or directory",
		good:            "!" + good + ": permission denied",
		"":              "!there is no command",
	} {
		got, err := Program([]string{name})
		if wrong, refused := strings.CutPrefix(want, "!"); refused {
			if err == nil || !strings.HasPrefix(err.Error(), wrong) {
				t.Errorf("%q: %q, %v", name, got, err)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
	if out, err := Command(t.Context(), []string{"both"}); err != nil || out != filepath.Base(good) {
		t.Errorf("%q, %v", out, err)
	}
	t.Setenv("PATH", ":.:")
	if _, err := Program([]string{"both"}); err == nil {
		t.Error("found in the working directory")
	}
}

func TestValues(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("EXAMPLE", "of-a-variable")
	write(t, home+"/token", "of-a-file\n", 0o600)
	ref := fmt.Sprintf(`command:["/bin/sh","-c","echo x >> %s/runs; echo of-a-command"]`, home)
	failing := fmt.Sprintf(`command:["/bin/sh","-c","echo x >> %s/runs; exit 1"]`, home)
	var v Values
	for ref, want := range map[string]string{"EXAMPLE": "of-a-variable", "file:~/token": "of-a-file"} {
		known, err := v.Known(ref)
		found, errRun := v.Run(t.Context(), ref)
		if known != want || found != want || err != nil || errRun != nil {
			t.Errorf("%s: %q %v, %q %v", ref, known, err, found, errRun)
		}
	}
	if _, err := v.Known(ref); !errors.Is(err, ErrNotRun) {
		t.Errorf("before it ran: %v", err)
	}
	if _, err := os.Stat(home + "/runs"); err == nil {
		t.Fatal("asking what is known ran it")
	}
	for range 3 {
		if got, err := v.Run(t.Context(), ref); got != "of-a-command" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := v.Run(t.Context(), failing); err == nil {
			t.Error("a failure is a value")
		}
	}
	if got, err := v.Known(ref); got != "of-a-command" || err != nil {
		t.Errorf("after it ran: %q, %v", got, err)
	}
	if _, err := v.Known(`command:["no-such-program-anywhere"]`); err == nil || errors.Is(err, ErrNotRun) {
		t.Errorf("a program that is not there: %v", err)
	}
	runs, err := os.ReadFile(home + "/runs")
	if d := cmp.Diff("x\nx\n", string(runs)); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}
