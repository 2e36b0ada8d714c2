package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/supervise/supervisetest"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

func TestMain(m *testing.M) {
	fakesmol.Main()
	testscript.Main(m, map[string]func(){
		"bb": main,
	})
}

// Golden scripts: what a user sees. BB_UPDATE=1 rewrites the goldens.
// Those in testdata/script run on the in-memory backend, those in
// testdata/engine on the real engine, which must be there, and those in
// testdata/machine on the fake of smolvm.
func TestScript(t *testing.T) { runScripts(t, "script", "fake") }

func TestEngineScript(t *testing.T) {
	if err := exec.Command("docker", "version").Run(); err != nil {
		t.Fatalf("these scripts need a Docker engine: run hack/engine (%v)", err)
	}
	runScripts(t, "engine", "docker")
}

func runScripts(t *testing.T, dir, backend string) {
	binary := ""
	if backend != "fake" {
		binary = staticBinary(t)
	}
	machines := func(*testscript.Env) error { return nil }
	if backend == "smolvm" {
		machines = onMachines(t, binary)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", dir),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("BB_UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			e.Setenv("BB_BACKEND", backend)
			e.Setenv("BB_SIDECAR_BINARY", binary)
			e.Setenv("NO_COLOR", "1")
			// With the race detector each bb would wait a second before it ends.
			e.Setenv("GORACE", "atexit_sleep_ms=10")
			for _, name := range []string{"DOCKER_HOST", "BB_BASE_IMAGE", "BB_BUILD_CA", "SSL_CERT_FILE"} {
				if v := os.Getenv(name); v != "" {
					e.Setenv(name, v)
				}
			}
			e.Setenv("BB_TEST_VALUE", "from-the-host")
			if backend == "docker" {
				e.Defer(func() { // a script that fails leaves nothing behind
					destroy := exec.Command(binary, "destroy", "-y")
					destroy.Env = append(os.Environ(), "HOME="+home)
					if out, err := destroy.CombinedOutput(); err != nil {
						t.Logf("destroy: %v\n%s", err, out)
					}
				})
			}
			return errors.Join(os.MkdirAll(home, 0o755), machines(e))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"asks":       asks,
			"dockerfile": dockerfile,
			"exits":      exits,
			"mklog":      mklog,
			"mkroot":     mkroot,
			"schema":     schema,
			"terminal":   terminal,
			"waits":      waits,
		},
	})
}

// staticBinary builds what goes into bottles.
func staticBinary(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "bb")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// asks has the sidecars of a fake world, or one agent's, ask for what the lines of a
// file say, as JSON: asks WORLD FILE [AGENT]. Nothing of the file stays when it is
// called again.
func asks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: asks WORLD FILE [AGENT]")
	}
	agent := append(args, "")[2]
	socket := filepath.Join(ts.MkAbs("."), "desk-"+filepath.Base(args[1]))
	_ = os.Remove(socket)
	desk, err := supervisetest.Open(socket)
	ts.Check(err)
	ts.Defer(func() { _ = desk.Close() })
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		var p egress.Proposal
		ts.Check(json.Unmarshal([]byte(line), &p))
		_, err := desk.Add(p)
		ts.Check(err)
	}
	file := ts.MkAbs(args[0])
	var world map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &world))
	for name, c := range world["containers"].(map[string]any) {
		if strings.HasSuffix(name, "_s") && (agent == "" || strings.HasPrefix(name, "bb-"+agent+"-")) {
			c.(map[string]any)["control"] = socket
		}
	}
	b, err := json.Marshal(world)
	ts.Check(err)
	ts.Check(os.WriteFile(file, b, 0o600))
}

// dockerfile checks the one that an approval wrote: its bytes, and that nobody else
// can read or change it: dockerfile DIR QUOTED.
func dockerfile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: dockerfile DIR QUOTED")
	}
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "Dockerfile-*", "Dockerfile"))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("written: %q", found)
	}
	want, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	if got := ts.ReadFile(found[0]); got != want {
		ts.Fatalf("it holds %q", got)
	}
	for path, mode := range map[string]os.FileMode{found[0]: 0o600, filepath.Dir(found[0]): 0o700} {
		info, err := os.Lstat(path)
		ts.Check(err)
		if info.Mode().Perm() != mode {
			ts.Fatalf("%s has mode %v", path, info.Mode())
		}
	}
}

// waits puts the id of what waits into $ID, and a short form into $SHORT; there must
// be as many as it says: waits [N]. Of several it is the last.
func waits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: waits [N]")
	}
	n, err := strconv.Atoi(append(args, "1")[0])
	ts.Check(err)
	ts.Check(ts.Exec("bb", "supervise", "--json"))
	var all []struct{ Proposal egress.Proposal }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &all))
	if len(all) != n {
		ts.Fatalf("%d wait, want %d", len(all), n)
	}
	id := all[n-1].Proposal.ID
	ts.Setenv("ID", id)
	ts.Setenv("SHORT", id[:4])
}

// exits runs a command and asserts its exact exit code: exits CODE CMD...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s exits %d, want %d", fmt.Sprint(args[1:]), got, want)
	}
}

// terminal runs a command in the foreground of a terminal, and keeps what that
// shows: terminal CODE FILE CMD...
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: terminal CODE FILE CMD...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	program, err := exec.LookPath(args[2])
	ts.Check(err)
	cmd := exec.Command(program, args[3:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "BB_BACKEND", "NO_COLOR", "BB_SIDECAR_BINARY"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "TERM=vt100")
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	ts.Check(err)
	defer screen.Close()
	said, _ := io.ReadAll(screen) // ends with an error when the program does
	_ = cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), bytes.ReplaceAll(said, []byte("\r\n"), []byte("\n")), 0o600))
	ts.Logf("%s", said)
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("%s exits %d, want %d", fmt.Sprint(args[2:]), got, want)
	}
}

// mkroot makes a directory stand for the files of every bottle of a fake
// world, also of those that come; those that are there were made an hour ago:
// mkroot WORLD DIR.
func mkroot(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mkroot WORLD DIR")
	}
	file := ts.MkAbs(args[0])
	var world map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &world))
	world["root"] = ts.MkAbs(args[1])
	for _, c := range world["containers"].(map[string]any) {
		c.(map[string]any)["root"] = ts.MkAbs(args[1])
		c.(map[string]any)["created"] = time.Now().Add(-time.Hour).Unix()
	}
	b, err := json.Marshal(world)
	ts.Check(err)
	ts.Check(os.WriteFile(file, b, 0o600))
}

// mklog makes lines a log of every sidecar of a fake world: mklog WORLD FILE
// [access or pushes]. Without FILE the sidecars stop.
func mklog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: mklog WORLD [FILE [LOG]]")
	}
	file := ts.MkAbs(args[0])
	var world map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &world))
	for name, c := range world["containers"].(map[string]any) {
		if !strings.HasSuffix(name, "_s") {
			continue
		}
		sidecar := c.(map[string]any)
		if sidecar["running"] = len(args) > 1; len(args) > 1 {
			var lines []json.RawMessage
			for line := range strings.Lines(ts.ReadFile(args[1])) {
				lines = append(lines, json.RawMessage(line))
			}
			sidecar[append(args, "access")[2]] = lines
		}
	}
	b, err := json.Marshal(world)
	ts.Check(err)
	ts.Check(os.WriteFile(file+".new", b, 0o600))
	ts.Check(os.Rename(file+".new", file))
}
