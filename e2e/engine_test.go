package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEngineStopsInTheMiddle kills an engine of the test's own while an apply
// runs on it: one clear error, and the next apply repairs what is left.
func TestEngineStopsInTheMiddle(t *testing.T) {
	h, agents := shellHome(t)
	e := moveToOwnEngine(t, h, agents[0])

	var out bytes.Buffer
	cmd := h.command(context.Background(), "apply", "-y")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "apply has made a container", func() bool {
		names, err := command("docker", "-H", e.host, "ps", "-a", "--format", "{{.Names}}")
		return err == nil && strings.Contains(names, h.id)
	})
	e.kill()
	done := make(chan struct{})
	go func() {
		cmd.Wait() //nolint:errcheck // the exit code is looked at below
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		cmd.Process.Kill() //nolint:errcheck // the test has failed
		t.Fatalf("apply hangs on an engine that is gone\n%s", out.String())
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Contains(out.String(), "goroutine ") {
		t.Errorf("want exit 1 and an error, got %d\n%s", code, out.String())
	}
	t.Logf("bb said:\n%s", out.String())

	began := time.Now()
	r := h.fails("plan")
	if time.Since(began) > 10*time.Second {
		t.Errorf("without an engine plan takes %v", time.Since(began))
	}
	r.says(t, "engine")
	h.must("validate")
	h.must("version")

	e.start()
	h.must("apply", "-y")
	h.settled()
	for _, a := range agents {
		h.must("exec", a, "--", "true")
	}
	h.must("destroy", "-y")
	if left, err := command("docker", "-H", e.host, "ps", "-aq"); err != nil || left != "" {
		t.Errorf("left over: %s %v", left, err)
	}
}

// TestForeignSharedNetwork asserts that a network which has the name of bb's
// own is used, reported, and never removed. The engine is the test's own: the
// name is one for all homes.
func TestForeignSharedNetwork(t *testing.T) {
	h, agents := shellHome(t)
	e := moveToOwnEngine(t, h, agents[0])
	inspect := func() string {
		id, err := command("docker", "-H", e.host, "network", "inspect", "--format", "{{json .}}", "bb-egress")
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if _, err := command("docker", "-H", e.host, "network", "create", "bb-egress"); err != nil {
		t.Fatal(err)
	}
	before := inspect()
	h.must("plan").says(t, "network bb-egress")
	h.must("apply", "-y")
	h.settled()
	h.must("destroy", "-y")
	if after := inspect(); after != before {
		t.Errorf("the network was altered: %s is now %s", before, after)
	}
}

// moveToOwnEngine brings a home to an engine of the test's own, with the
// images that its bottles need: that engine reaches no network.
func moveToOwnEngine(t testing.TB, h *home, agent string) *engine {
	t.Helper()
	return moveTo(t, h, agent, func() *engine { return newEngine(t) })
}

func moveTo(t testing.TB, h *home, agent string, start func() *engine) *engine {
	t.Helper()
	h.must("apply", "-y")
	images := []string{baseImage()}
	for _, sidecar := range []bool{false, true} {
		images = append(images, docker(t, "inspect", "--format", "{{.Config.Image}}", containerOf(t, agent, sidecar)))
	}
	h.leaveNothing() // here; what is on the other engine ends with it
	e := start()
	e.load(images)
	h.env, h.ownEngine = []string{"DOCKER_HOST=" + e.host}, true
	return e
}

// engine is a dockerd of the test's own, with its own socket and directory.
type engine struct {
	t      testing.TB
	dir    string
	host   string
	starts int
	cmd    *exec.Cmd
	log    *os.File
	args   []string // more of dockerd's
	// listener is where the engine answers besides its socket: it keeps to the
	// network namespace that it was made in, so that the test reaches it.
	listener *os.File
}

func newEngine(t testing.TB) *engine {
	t.Helper()
	return newEngineOn(t, nil)
}

func newEngineOn(t testing.TB, listener *os.File, args ...string) *engine {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "" {
			t.Skip("starting an engine of its own needs root; CI has it")
		}
		t.Fatal("starting an engine of its own needs root")
	}
	dir, err := os.MkdirTemp("", "bb-engine-") //nolint:usetesting // paths of sockets may only be short
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, dir: dir, host: "unix://" + dir + "/docker.sock", log: log, listener: listener, args: args}
	t.Cleanup(e.remove)
	e.start()
	return e
}

// start runs dockerd as the first process of namespaces of its own: it cannot
// touch the bridges, packet filters and mounts of the engine beside it, and
// killing it is what a power cut is to a machine.
func (e *engine) start() {
	e.t.Helper()
	e.starts++
	run := fmt.Sprintf("%s/run-%d", e.dir, e.starts) // as empty as after a boot
	e.cmd = exec.Command("unshare", "--kill-child", "--fork", "--pid", "--mount-proc", "--net", "--mount", "--",
		"dockerd", "--host", e.host, "--data-root", e.dir+"/data", "--exec-root", run, "--pidfile", run+".pid",
		"--cgroup-parent", e.cgroup())
	e.cmd.Args = append(e.cmd.Args, e.args...)
	if e.listener != nil { // as systemd hands one over; dockerd is the first process
		e.cmd.Args = append(e.cmd.Args, "--host", "fd://")
		e.cmd.ExtraFiles = []*os.File{e.listener}
		e.cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_PID=1")
	}
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if _, err := command("docker", "-H", e.host, "version"); err == nil {
			return
		}
	}
	text, _ := os.ReadFile(e.log.Name())
	e.t.Fatalf("the engine does not start\n%s", text)
}

func (e *engine) cgroup() string { return "/" + filepath.Base(e.dir) }

func (e *engine) kill() {
	e.cmd.Process.Signal(syscall.SIGKILL) //nolint:errcheck // Wait tells
	e.cmd.Wait()                          //nolint:errcheck // it was killed
}

func (e *engine) remove() {
	e.kill() // its containers, networks and mounts end with it
	// Control groups do not: the innermost go first. One that still ends is
	// only litter, so nothing depends on it.
	for _, pattern := range []string{"/*", ""} {
		for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
			groups, _ := filepath.Glob(root + e.cgroup() + pattern)
			for _, g := range groups {
				os.Remove(g) //nolint:errcheck // see above
			}
		}
	}
	e.log.Close() //nolint:errcheck // only a log
	if err := os.RemoveAll(e.dir); err != nil {
		e.t.Errorf("the engine's directory: %v", err)
	}
}

// load copies images from the shared engine: this one reaches no network.
func (e *engine) load(images []string) {
	e.t.Helper()
	save := exec.Command("docker", append([]string{"save"}, images...)...)
	load := exec.Command("docker", "-H", e.host, "load")
	pipe, err := save.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	load.Stdin = pipe
	if err := save.Start(); err != nil {
		e.t.Fatal(err)
	}
	if out, err := load.CombinedOutput(); err != nil {
		e.t.Fatalf("docker load: %v\n%s", err, out)
	}
	if err := save.Wait(); err != nil {
		e.t.Fatal(err)
	}
}
