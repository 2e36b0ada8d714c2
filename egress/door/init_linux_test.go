package door

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() { roles["init"] = playInit }

// playInit is a bottle in small: the first process of a pid namespace. The
// shell it starts stands for what an engine's exec would bring in.
func playInit() int {
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}}
	for _, script := range []string{
		"(sleep 0.2 &) ; exit 3", // leaves an orphan behind
		"trap 'echo told; exit 0' TERM; echo waiting; while :; do sleep 0.05; done",
	} {
		if _, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, attr); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	err := Init(context.Background(), Options{
		Socket:  "/nowhere",
		Listens: []Listen{{"tcp", "127.0.0.1:0", "proxy"}},
		Ready:   func() { fmt.Println("ready, pid", os.Getpid()) },
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func TestInitReapsAndTerminates(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DOOR_TEST_ROLE=init", "GOCOVERDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getgid(), Size: 1}}
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(deadline, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	out := lines(bufio.NewScanner(stdout))
	for seen := ""; !strings.Contains(seen, "ready, pid 1\n") || !strings.Contains(seen, "waiting\n"); {
		line, ok := <-out
		if !ok {
			t.Fatalf("init ended: %s", seen)
		}
		seen += line + "\n"
	}

	// One child stays (the trapping shell); the other and its orphan go.
	stop := time.Now().Add(deadline / 2)
	for len(childrenOf(t, cmd.Process.Pid)) != 1 {
		if time.Now().After(stop) {
			t.Fatalf("children left: %v", childrenOf(t, cmd.Process.Pid))
		}
		time.Sleep(20 * time.Millisecond)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var told bool
	for line := range out {
		told = told || line == "told"
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("init: %v", err)
	}
	if !told {
		t.Error("the bottle's program was not asked to end")
	}
}

// childrenOf lists the state of every child of pid, zombies too.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, stat := range stats {
		data, err := os.ReadFile(stat)
		if err != nil {
			continue // gone meanwhile
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			found = append(found, stat+" "+fields[0])
		}
	}
	return found
}

func TestInitNamesEveryPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = Init(t.Context(), Options{Listens: []Listen{
		{"tcp", "127.0.0.1:0", "proxy"},
		{"tcp", taken.Addr().String(), "http"},
		{"udp", "192.0.2.1:53", "dns"},
	}})
	for _, want := range []string{"tcp port for http", taken.Addr().String(), "udp port for dns", "192.0.2.1:53"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %q", err, want)
		}
	}
}
