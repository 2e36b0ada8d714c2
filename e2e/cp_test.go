package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell brings up a plain bottle.
func shell(t *testing.T, role string) (*home, string) {
	t.Helper()
	h := newHome(t)
	h.bottle("plain", "agent_provider: {template: shell}")
	dev := h.agent(role, "plain", "")
	h.must("apply", "-y", dev)
	return h, dev
}

// TestCopy: both ways, with what a tree has, owned by whoever copies.
func TestCopy(t *testing.T) {
	t.Parallel()
	h, dev := shell(t, "cp")
	dir := project(t)
	ok(t, os.Remove(filepath.Join(dir, "outside")))
	h.must("cp", dir, dev+":")
	base := filepath.Base(dir)
	r := h.must("exec", dev, "--", "sh", "-c", "cd "+base+"; ./inside; git status --porcelain; stat -c '%U %a' bin/run; echo more >> main.go; chmod 4755 bin/run; ln -s main.go also")
	if r.stdout != "ran\n D outside\nnode 755\n" {
		t.Errorf("in the bottle: %q", r.stdout)
	}
	back := filepath.Join(t.TempDir(), "back")
	r = h.must("cp", dev+":"+base, back)
	r.says(t, "back/.git/config: git obeys it")
	if strings.Contains(r.all(), ".sample") {
		t.Errorf("samples run nowhere: %s", r)
	}
	info, err := os.Lstat(filepath.Join(back, "bin/run"))
	if ok(t, err); info.Mode() != 0o755 || int(info.Sys().(*syscall.Stat_t).Uid) != os.Getuid() {
		t.Errorf("bin/run is %v of %d", info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
	}
	if to, err := os.Readlink(filepath.Join(back, "also")); err != nil || to != "main.go" {
		t.Errorf("also: %q, %v", to, err)
	}
	if b, _ := os.ReadFile(filepath.Join(back, "main.go")); string(b) != "package main\nmore\n" {
		t.Errorf("main.go is %q", b)
	}
	// A file, to a name and into a directory; through ~.
	put(t, filepath.Join(dir, "note"), "note\n")
	h.must("cp", filepath.Join(dir, "note"), dev+":~/.noted")
	h.must("cp", dev+":/home/node/.noted", back)
	if b, _ := os.ReadFile(filepath.Join(back, ".noted")); string(b) != "note\n" {
		t.Errorf(".noted is %q", b)
	}
	put(t, filepath.Join(dir, "-odd --name,x"), "odd\n")
	h.must("cp", filepath.Join(dir, "-odd --name,x"), dev+":")
	h.must("cp", dev+":-odd --name,x", back)
	if b, _ := os.ReadFile(filepath.Join(back, "-odd --name,x")); string(b) != "odd\n" {
		t.Errorf("the odd name holds %q", b)
	}
	// As the agent's user, and no other.
	h.fails("cp", filepath.Join(dir, "note"), dev+":/etc/note").says(t, "permission denied")
	h.fails("cp", dev+":/etc/shadow", back).says(t, "cannot be read: permission denied")
	h.fails("cp", dev+":/", back).says(t, "the whole system")
}

// TestCopyStreams: 200 MB each way, in the memory of a few buffers.
func TestCopyStreams(t *testing.T) {
	t.Parallel()
	h, dev := shell(t, "big")
	big := filepath.Join(t.TempDir(), "big")
	f, err := os.Create(big)
	ok(t, err)
	block := make([]byte, 1<<20)
	for i := range 200 {
		for j := range block {
			block[j] = byte(i + j*7)
		}
		_, err := f.Write(block)
		ok(t, err)
	}
	ok(t, f.Close())
	back := filepath.Join(t.TempDir(), "back")
	for _, args := range [][]string{{"cp", big, dev + ":big"}, {"cp", dev + ":big", back}} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		cmd := h.command(ctx, args...)
		began := time.Now()
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		ok(t, cmd.Start())
		peak := watchPeak(cmd.Process.Pid)
		err := cmd.Wait()
		cancel()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out.String())
		}
		rss := peak()
		t.Logf("%s: %v, %d MiB of memory", args[1:], time.Since(began).Round(10*time.Millisecond), rss)
		if rss > 100 {
			t.Errorf("%v took %d MiB of memory", args, rss)
		}
	}
	want, err := os.ReadFile(big)
	ok(t, err)
	got, err := os.ReadFile(back)
	if ok(t, err); !bytes.Equal(want, got) {
		t.Error("what came back is something else")
	}
}

// TestCopyAttacked: the agent swaps a directory for a link to other things of
// the bottle, and its links for links to the host's, all the while. Nothing is
// written outside of the destination (F2), and nothing half stays.
func TestCopyAttacked(t *testing.T) {
	t.Parallel()
	h, dev := shell(t, "swap")
	h.must("exec", dev, "--", "sh", "-c", `mkdir -p proj/d; cat > ~/swap.sh <<'END'
cd ~/workspace/proj
while :; do
  rm -rf d f; mkdir d; echo own > d/x; echo own > f
  rm -rf d f; ln -s /etc d; ln -s /etc/hostname f
  rm -f l; ln -s ../../../../../../etc/passwd l; rm -f l; ln -s d l
done
END
(sh ~/swap.sh >/dev/null 2>&1 &) `)
	around := t.TempDir()
	put(t, filepath.Join(around, "sentinel"), "sentinel")
	host, err := os.ReadFile("/etc/hostname")
	ok(t, err)
	worked := 0
	for range 20 {
		dst := filepath.Join(around, "dst")
		r := h.run("cp", "--skip", dev+":proj", dst)
		if r.code == 0 {
			worked++
		} else if _, err := os.Lstat(dst); err == nil {
			t.Errorf("a failed copy left something: %s", r)
		}
		for _, name := range []string{"f", "l", "d"} {
			real, err := filepath.EvalSymlinks(filepath.Join(dst, name))
			if err == nil && !strings.HasPrefix(real, dst) {
				t.Errorf("%s leads to %s", name, real)
			}
			if b, err := os.ReadFile(filepath.Join(dst, name)); err == nil && bytes.Equal(b, host) {
				t.Errorf("%s is a file of the host", name)
			}
		}
		ok(t, os.RemoveAll(dst))
	}
	if worked == 0 {
		t.Error("no copy ever worked: the test shows nothing")
	}
	// In, while the destination is swapped: it ends, one way or the other.
	src := project(t)
	for range 5 {
		h.run("cp", src, dev+":proj/d")
	}
	left, err := os.ReadDir(around)
	if ok(t, err); len(left) != 1 {
		t.Errorf("beside the destination: %v", left)
	}
	if r := h.must("exec", dev, "--", "sh", "-c", "find / -xdev -name '.bb-cp-*' 2>/dev/null | grep -v /proj/ || true"); r.stdout != "" {
		t.Errorf("in the bottle: %s", r)
	}
}

// TestCopyPrograms: an agent that replaces tar, the shell and PATH changes
// nothing; one that ends bb's side of the copy leaves nothing half.
func TestCopyPrograms(t *testing.T) {
	t.Parallel()
	h, dev := shell(t, "tar")
	h.must("exec", dev, "--", "sh", "-c", `mkdir -p ~/bin proj; echo own > proj/x
for p in tar cp bb sh cat; do printf '#!/bin/sh\ntouch ~/ran-%s; exit 0\n' $p > ~/bin/$p; chmod +x ~/bin/$p; done
printf 'PATH=%s/bin:$PATH\n' ~ | tee ~/.profile > ~/.bashrc
printf 'PATH=%s/bin\0' ~ > /run/bb/env`)
	dst := filepath.Join(t.TempDir(), "dst")
	h.must("cp", dev+":/home/node/workspace/proj", dst)
	if b, _ := os.ReadFile(filepath.Join(dst, "x")); string(b) != "own\n" {
		t.Errorf("x is %q", b)
	}
	h.must("cp", dst, dev+":/home/node/workspace/again")
	if r := h.must("exec", dev, "--", "/bin/ls", "/home/node"); strings.Contains(r.stdout, "ran-") {
		t.Errorf("a program of the agent ran: %s", r)
	}
	h.must("exec", dev, "--", "/bin/sh", "-c", `/usr/bin/head -c 300000000 /dev/zero > /home/node/workspace/proj/big
(while :; do for p in /proc/[0-9]*; do case "$(/bin/tr '\0' ' ' < $p/cmdline)" in *"bb door p"ack*) /bin/sleep 0.05; kill -9 ${p#/proc/};; esac; done; done >/dev/null 2>&1 &)`)
	h.fails("cp", dev+":/home/node/workspace/proj", dst+"2").says(t, dev) // at whatever point it was killed
	if left, err := os.ReadDir(filepath.Dir(dst)); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestCopyInterrupted: Ctrl-C leaves nothing half, on neither side.
func TestCopyInterrupted(t *testing.T) {
	t.Parallel()
	h, dev := shell(t, "int")
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	ok(t, os.Mkdir(src, 0o755))
	f, err := os.Create(filepath.Join(src, "big"))
	ok(t, err)
	ok(t, f.Truncate(4<<30))
	ok(t, f.Close())
	h.must("exec", dev, "--", "sh", "-c", "mkdir out; truncate -s 4G out/big")
	const half = ".bb-cp-" // what is not whole yet has such a name
	inside := func() bool { return strings.Contains(h.must("exec", dev, "--", "ls", "-A").stdout, half) }
	here := func() bool {
		found, err := filepath.Glob(filepath.Join(dir, half+"*"))
		return err == nil && len(found) > 0
	}
	for _, c := range []struct {
		args  []string
		begun func() bool
	}{
		{[]string{"cp", src, dev + ":in"}, inside},
		{[]string{"cp", dev + ":out", filepath.Join(dir, "dst")}, here},
	} {
		args := c.args
		cmd := h.command(t.Context(), args...)
		var said bytes.Buffer
		cmd.Stderr, cmd.Stdout = &said, io.Discard
		ok(t, cmd.Start())
		eventually(t, "the copy is under way", c.begun)
		ok(t, cmd.Process.Signal(os.Interrupt))
		began := time.Now()
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 130 || time.Since(began) > 15*time.Second {
			t.Errorf("%v: exit %d after %v: %s", args, code, time.Since(began), said.String())
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("on the host: %v, %v", left, err)
	}
	eventually(t, "the bottle has nothing half", func() bool {
		return h.must("exec", dev, "--", "ls", "-A").stdout == "out\n"
	})
}

// watchPeak looks at the most memory that a process ever had, in MiB, until it
// ends. What the system says of it afterwards counts its parent before the exec.
func watchPeak(pid int) (peak func() int) {
	most, ended := 0, make(chan struct{})
	go func() {
		defer close(ended)
		for {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			_, rest, found := strings.Cut(string(b), "VmHWM:")
			if err != nil || !found { // it is gone, or waits to be collected
				return
			}
			var kb int
			if _, err := fmt.Sscan(rest, &kb); err == nil {
				most = max(most, kb>>10)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() int { <-ended; return most }
}
