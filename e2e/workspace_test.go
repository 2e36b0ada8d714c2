package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// put writes a file of the host, with its directories.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ok fails the test on an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// project is a directory as people work in: a repository, a program, links.
func project(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	ok(t, err)
	put(t, filepath.Join(dir, "main.go"), "package main\n")
	put(t, filepath.Join(dir, "bin/run"), "#!/bin/sh\necho ran\n")
	ok(t, os.Chmod(filepath.Join(dir, "bin/run"), 0o755))
	ok(t, os.Symlink("bin/run", filepath.Join(dir, "inside")))
	ok(t, os.Symlink("/etc/hostname", filepath.Join(dir, "outside")))
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "."},
		{"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "first"},
	} {
		if _, err := command("git", append([]string{"-C", dir}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const shellCopy = "agent_provider: {template: shell}\nworkspace: {mode: copy}"

// TestWorkspaceCopy: the directory arrives whole and is the agent's; what the
// agent does stays in the bottle, over stops too, until it is replaced, and the
// plan says so before.
func TestWorkspaceCopy(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir := project(t)
	h.bottle("copied", shellCopy)
	dev := h.agent("ws", "copied", "")
	h.must("plan", "--workspace", dir, dev).says(t, "copy of "+dir+" -> /home/node/workspace")
	h.must("apply", "-y", "--workspace", dir, dev)
	r := h.must("exec", dev, "--", "sh", "-c", `
		pwd; git status --porcelain; git log --format=%s; ./inside
		readlink inside outside; stat -c '%U %a' . main.go bin/run .git/HEAD`)
	want := "/home/node/workspace\nfirst\nran\nbin/run\n/etc/hostname\nnode 755\nnode 644\nnode 755\nnode 644\n"
	if r.stdout != want {
		t.Errorf("in the bottle: %q, want %q", r.stdout, want)
	}
	h.must("exec", dev, "--", "sh", "-c", "echo mine > main.go; echo new > made")
	if b, _ := os.ReadFile(filepath.Join(dir, "main.go")); string(b) != "package main\n" {
		t.Errorf("the host's file is %q", b)
	}

	// Stopped and started again, it is the agent's work that is there.
	put(t, filepath.Join(dir, "main.go"), "package changed\n")
	docker(t, "stop", "-t", "0", containerOf(t, dev, false))
	ok(t, os.Rename(dir, dir+"-away")) // nobody needs it now
	h.must("apply", "-y", dev)
	ok(t, os.Rename(dir+"-away", dir))
	if r := h.must("exec", dev, "--", "cat", "main.go", "made"); r.stdout != "mine\nnew\n" {
		t.Errorf("after a stop: %q", r.stdout)
	}
	h.settled()

	// Replaced, it is a new copy of the same directory, which nobody named again.
	h.bottle("copied", shellCopy+"\nenv: {A: b}")
	h.must("plan", dev).says(t, "its copy of "+dir+" is made anew: bb cp "+dev+":/home/node/workspace DIR")
	h.must("apply", "-y", dev)
	if r := h.must("exec", dev, "--", "sh", "-c", "cat main.go; ls made 2>/dev/null || true"); !strings.HasPrefix(r.stdout, "package changed\n") {
		t.Errorf("after a replacement: %q", r.stdout)
	}
}

// TestWorkspaceElsewhere puts the copy where the manifest says.
func TestWorkspaceElsewhere(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir := project(t)
	for _, guest := range []string{"/workspace/deep", "/home/node/src/x"} {
		h.bottle("copied", "agent_provider: {template: shell}\nworkspace: {mode: copy, path: "+dir+", guest_path: "+guest+"}")
		dev := h.agent("else", "copied", "")
		h.must("apply", "-y", dev)
		r := h.must("exec", dev, "--", "sh", "-c", "pwd; stat -c %U . .. main.go; touch ../beside; cat main.go")
		if want := guest + "\nnode\nnode\nnode\npackage main\n"; r.stdout != want {
			t.Errorf("%s: %q, want %q", guest, r.stdout, want)
		}
	}
}

// TestWorkspaceRefused: what must not go in is listed and nothing is there
// (F2); a copy that failed is made by the next apply.
func TestWorkspaceRefused(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir := project(t)
	secret := filepath.Join(t.TempDir(), "secret")
	put(t, secret, "secret of the host")
	ok(t, os.Link(secret, filepath.Join(dir, "hard")))
	ok(t, syscall.Mkfifo(filepath.Join(dir, "bin/pipe"), 0o644))
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	ok(t, err)
	defer l.Close()
	h.bottle("copied", shellCopy)
	dev := h.agent("ref", "copied", "")
	h.fails("apply", "-y", "--workspace", dir, dev).says(t,
		"3 paths cannot be copied", "bin/pipe: a named pipe", "s: a socket", "hard: a hard link of a file outside")
	ok(t, os.Remove(filepath.Join(dir, "hard")))
	ok(t, os.Remove(filepath.Join(dir, "bin/pipe")))
	ok(t, l.Close()) // removes it
	h.must("apply", "-y", "--workspace", dir, dev)
	if r := h.must("exec", dev, "--", "sh", "-c", "ls; grep -rl 'secret of' . || true"); r.stdout != "bin\ninside\nmain.go\noutside\n" {
		t.Errorf("in the bottle: %q", r.stdout)
	}
	// Directories that no agent may have (F1, F6).
	for bad, why := range map[string]string{
		"/": "of the system", "/proc/self": "of the system", "/var/run": "of the system", "/etc": "of the system",
		h.dir: "bb's manifests", filepath.Join(h.dir, "agents"): "bb's manifests", filepath.Dir(h.dir): "bb's manifests",
		filepath.Join(dir, "main.go"): "is not a directory", filepath.Join(dir, "none"): "no such file",
	} {
		h.fails("plan", "--workspace", bad, dev).says(t, why)
	}
}

// TestWorkspaceMount: the directory itself, both ways, and no more of the host.
func TestWorkspaceMount(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir := project(t)
	ok(t, os.Chmod(dir, 0o777)) //nolint:gosec // the agent's number is not ours
	h.bottle("lent", "agent_provider: {template: shell}\nworkspace: {mode: mount, path: "+dir+", guest_path: /workspace}")
	dev := h.agent("mnt", "lent", "")
	r := h.must("plan", dev)
	r.says(t, "MOUNT "+dir+" -> /workspace: the agent writes to your files", "warning: "+dev+" writes to your files in "+dir)
	if os.Getuid() != 1000 {
		r.says(t, "belongs to another user than the agent")
	}
	before, err := os.Stat(dir)
	ok(t, err)
	h.must("apply", "-y", dev)
	if r := h.must("exec", dev, "--", "sh", "-c", "pwd; cat main.go; echo from inside > made"); r.stdout != "/workspace\npackage main\n" {
		t.Errorf("in the bottle: %q", r.stdout)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "made")); string(b) != "from inside\n" {
		t.Errorf("on the host: %q", b)
	}
	put(t, filepath.Join(dir, "later"), "from outside\n")
	if r := h.must("exec", dev, "--", "cat", "later"); r.stdout != "from outside\n" {
		t.Errorf("in the bottle: %q", r.stdout)
	}
	// Started again, the host's directory has its owner and mode as before.
	docker(t, "stop", "-t", "0", containerOf(t, dev, false))
	h.must("apply", "-y", dev)
	after, err := os.Stat(dir)
	ok(t, err)
	if before.Mode() != after.Mode() || before.Sys().(*syscall.Stat_t).Uid != after.Sys().(*syscall.Stat_t).Uid {
		t.Errorf("the directory was %v and is %v", before.Mode(), after.Mode())
	}
	mounts := docker(t, "inspect", "--format", "{{range .HostConfig.Mounts}}{{.Type}} {{.Source}} {{.Target}} {{with .BindOptions}}{{.Propagation}}{{end}};{{end}}", containerOf(t, dev, false))
	if !strings.Contains(mounts, "bind "+dir+" /workspace rprivate;") || strings.Count(mounts, "bind ") != 1 {
		t.Errorf("mounts: %s", mounts)
	}
	// No socket of the host, no other path of it (F1).
	r = h.must("exec", dev, "--", "sh", "-c", `find / -path /proc -prune -o -type s -print 2>/dev/null; ls -d `+filepath.Dir(dir)+` 2>/dev/null || true`)
	if r.stdout != "/bb/door/door.sock\n" {
		t.Errorf("sockets, and what lies around the directory: %s", r.stdout)
	}
}

// TestWorkspaceMountLocal: another machine's engine would mount a directory
// of its own.
func TestWorkspaceMountLocal(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	dir := project(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // speaks to the local engine
	ok(t, err)
	defer l.Close()
	go relayTo(l, "/var/run/docker.sock")
	h.bottle("lent", "agent_provider: {template: shell}\nworkspace: {mode: mount, path: "+dir+"}")
	dev := h.agent("rem", "lent", "")
	h.env = append(h.env, "DOCKER_HOST=tcp://"+l.Addr().String())
	h.fails("plan", dev).says(t, "cannot mount a directory of this machine", "use workspace: {mode: copy}")
	h.env = nil
}

func relayTo(l net.Listener, socket string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			e, err := net.DialTimeout("unix", socket, time.Second)
			if err != nil {
				return
			}
			defer e.Close()
			go pipe(c, e)
			pipe(e, c)
		}()
	}
}

func pipe(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
