package gitgate

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gits counts the processes in the gate's directories.
func (w *world) gits() (n int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range all {
		if dir, err := os.Readlink(link); err == nil && strings.HasPrefix(dir, filepath.Join(w.dir, "gate")) {
			n++
		}
	}
	return n
}

// big makes an upstream whose pack fills every buffer between git and a client.
func (w *world) big(name string) string {
	bare := w.remote(name)
	noise := make([]byte, 24<<20)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	return w.commit(bare, "main", "noise", string(noise))
}

func TestAClientThatGoesAwayEndsItsChildren(t *testing.T) {
	w := newWorld(t)
	tip := w.big("origin")
	w.git(w.dir, "ls-remote", w.url("origin.git"))
	request := pktLine("command=fetch") + "0001" + pktLine("want "+tip+"\n") + pktLine("done\n") + flush
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /origin.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nGit-Protocol: version=2\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		requestType(uploadName), len(request), request)
	if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "git runs", func() bool { return w.gits() > 0 })
	time.Sleep(200 * time.Millisecond)
	if w.gits() == 0 {
		t.Fatal("git did not wait for a client that reads nothing")
	}
	_ = c.Close()
	eventually(t, "git ends", func() bool { return w.gits() == 0 })
}

func TestAKilledFetchEndsTheRefresh(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	w.up.delay.Store(int64(time.Minute))
	cmd := w.client(t.Context(), w.dir, "clone", w.url("origin.git"), "x")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "asking", func() bool { return w.up.runs.Load() > 0 })
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with its git-remote-http
	_ = cmd.Wait()
	m := w.gate.mirrorOf("origin")
	eventually(t, "the lock is free", func() bool { return len(m.room) == 0 })
	w.up.delay.Store(int64(0))
	w.clone("origin")
}

func TestCloseEndsEverything(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	w.clone("origin")
	w.up.delay.Store(int64(time.Minute))
	done := make(chan error, 1)
	go func() {
		_, err := w.try(w.dir, "ls-remote", w.url("origin.git"))
		done <- err
	}()
	eventually(t, "asking", func() bool { return w.up.runs.Load() > 1 })
	began := time.Now()
	if err := w.gate.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second || w.gits() != 0 {
		t.Errorf("closing took %s, %d processes are left", took, w.gits())
	}
	if err := <-done; err == nil {
		t.Error("the client got an answer")
	}
	if err := w.gate.Swap(w.doc); err == nil {
		t.Error("a closed gate takes a document")
	}
}

// Whatever a bottle starts at once, few processes run.
func TestTheNumberOfChildrenIsBounded(t *testing.T) {
	w := newWorld(t)
	tip := w.big("origin")
	w.git(w.dir, "ls-remote", w.url("origin.git"))
	w.gate.uploads.patience = 300 * time.Millisecond
	request := pktLine("command=fetch") + "0001" + pktLine("want "+tip+"\n") + pktLine("done\n") + flush
	head := fmt.Sprintf("POST /origin.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nConnection: close\r\nGit-Protocol: version=2\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		requestType(uploadName), len(request), request)
	for range 40 { // take their time to read
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, head)
	}
	eventually(t, "all slots are taken", func() bool { return len(w.gate.uploads.free) == maxUploads })
	time.Sleep(time.Second)
	if n := w.gits(); n > 2*maxUploads {
		t.Errorf("%d processes", n)
	}
	w.fails("fatal: remote error: git gate: origin: "+errBusy.Error(), w.dir, "ls-remote", w.url("origin.git"))
}

// On a disk that is really full the agent reads so, nothing half-made stays to
// fill it, and with room again the same mirror goes on.
func TestAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("only root makes a small disk: run this test as root")
		}
		t.Skip("only root makes a small disk: NOT RUN")
	}
	w := newWorld(t)
	if err := w.gate.Close(); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(w.dir, "gate")
	if err := syscall.Mount("bb-test", disk, "tmpfs", 0, "size=12m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no small disk here: %v", err)
		}
		t.Skipf("no small disk here: NOT RUN: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	w.open()
	w.remote("small")
	w.clone("small")
	tip := w.big("origin")
	w.fails("fatal: remote error: git gate: origin: "+string(errFull), w.dir, "clone", w.url("origin.git"))
	if n := free(disk); n < 10<<20 {
		t.Errorf("only %d bytes are free afterwards", n)
	}
	w.clone("small")
	if err := syscall.Mount("bb-test", disk, "tmpfs", syscall.MS_REMOUNT, "size=100m"); err != nil {
		t.Fatal(err)
	}
	if got := w.git(w.clone("origin"), "rev-parse", "HEAD"); got != tip {
		t.Errorf("HEAD is %s", got)
	}
}
