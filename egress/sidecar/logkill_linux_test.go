package sidecar

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// A sidecar that is killed keeps its log, and goes on where it was.
func TestKilledSidecarKeepsItsLog(t *testing.T) {
	dir, err := os.MkdirTemp("", "side") //nolint:usetesting // a socket path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	run := func() *exec.Cmd {
		var said syncBuffer
		cmd := again(t, "run", dir)
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		for end := time.Now().Add(deadline); !strings.Contains(said.String(), "unconfigured"); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no state line: %s", said.String())
			}
		}
		return cmd
	}
	ask := func(name string) {
		conn := dialUnix(t, optionsOf(dir).DoorSocket)
		query := fmt.Sprintf("\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00%c%s\x00\x00\x01\x00\x01", len(name), name)
		if _, err := fmt.Fprintf(conn, "%s\x00%c%s", egress.Preface(egress.ServiceDNS), len(query), query); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(want string) string {
		var out bytes.Buffer
		for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
			out.Reset()
			ctl := again(t, "ctl", dir, CommandLog)
			ctl.Stdout, ctl.Stderr = &out, &out
			if err := ctl.Run(); err != nil {
				t.Fatalf("%v: %s", err, out.String())
			}
			if strings.Contains(out.String(), want) {
				return out.String()
			}
			if time.Now().After(end) {
				t.Fatalf("no %s in %s", want, out.String())
			}
		}
	}
	first := run()
	ask("before")
	read(`"host":"before"`)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	run()
	ask("after")
	if got := read(`"host":"after"`); !strings.Contains(got, `"host":"before"`) || strings.Count(got, "\n") != 3 {
		t.Errorf("%s", got)
	}

	// ctl ends with its standard input, as when the host's bb is killed.
	ctl := again(t, "ctl", dir, CommandLog, "follow")
	hang, err := ctl.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := ctl.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ctl.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = hang.Close()
	ended := make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, out)
		ended <- ctl.Wait()
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(deadline):
		_ = ctl.Process.Kill()
		t.Error("ctl goes on")
	}
}
