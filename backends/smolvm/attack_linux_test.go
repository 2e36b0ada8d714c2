package smolvm

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

// What an agent finds that looks for a way out, or for power, in its machine.
func TestAttacksFromInside(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.up(t, s)
	for _, tt := range []struct{ what, script, want string }{
		{"interfaces", "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' \\n'", "lo"},
		{"routes", "tail -n +2 /proc/net/route; cat /proc/net/ipv6_route | grep -v ' lo$' | head -3", ""},
		{"an address outside", "(exec 3<>/dev/tcp/192.0.2.1/80) 2>&1 | grep -o 'Network is unreachable' | head -1", "Network is unreachable\n"},
		{"metadata", "(exec 3<>/dev/tcp/169.254.169.254/80) 2>&1 | grep -o 'Network is unreachable' | head -1", "Network is unreachable\n"},
		{"the host's loopback", "(exec 3<>/dev/tcp/127.0.0.1/22) 2>&1 | grep -o 'Connection refused' | head -1", "Connection refused\n"},
		{"names outside", "getent hosts example.com || echo none", "none\n"},
		{"names of the door", "getent hosts egress git-gate supervise | awk '{print $1}' | sort -u", "127.0.0.1\n"},
		{"the resolver", "cat /etc/resolv.conf", "nameserver 127.0.0.53\n"},
		{"root by a program", "su root -c id 2>&1 </dev/null | grep -c uid=0", "0\n"},
		{"the first process", "ls -l /proc/1/fd 2>&1 | grep -c 'Permission denied'; cat /proc/1/environ 2>/dev/null | wc -c", "1\n0\n"},
		{"its record, environment, binary and hosts", "for f in /var/lib/bb/placed.json /var/lib/bb/env /bb/bin/bb /etc/hosts /etc/resolv.conf /usr/local/share/ca-certificates/bb.crt; do (echo x >>$f) 2>/dev/null && echo $f; done; echo done", "done\n"},
		{"secrets of bb's own", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c '" + tokenValue[:5] + "[" + tokenValue[5:6] + "]" + tokenValue[6:] + "'", "0\n"},
		{"its own way out when the first process is killed", "kill -9 1; sleep 0.2; " + "/bb/bin/bb door probe && echo still", "still\n"},
	} {
		script := "exec 2>/dev/null; " + tt.script
		if got := w.sh(t, s, "bash -c '"+strings.ReplaceAll(script, "'", `'\''`)+"'"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
	}
	w.sidecars.mu.Lock()
	defer w.sidecars.mu.Unlock()
	for what, pid := range map[string]int{"machine": w.fake.Process(s.ID.Name()), "sidecar": w.sidecars.running[s.ID].cmd.Process.Pid} {
		if ports := listens(t, pid); len(ports) > 0 {
			t.Errorf("the %s listens on ports of this machine: %v", what, ports)
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if len(listens(t, os.Getpid())) == 0 {
		t.Error("a port that is open is not found")
	}
}

// What multiplies ends at the limit of its manifest, in all sessions together;
// nothing raises it, and bb still ends the machine.
func TestForkBomb(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.upTo(t, s)
	w.fake.Fault("start", fakesmol.FaultExact, 1)
	if err := w.StartAgent(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	const limit = 200 // of newSpec
	if got := w.sh(t, s, "bash -c 'ulimit -Hu; (ulimit -u unlimited) 2>&1 | grep -c permitted'"); strings.HasPrefix(got, "unlimited") || !strings.HasSuffix(got, "\n1\n") {
		t.Errorf("the limit, and what raises it: %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { // until the machine ends
			_, _ = w.Exec(ctx, s.ID, backends.ExecRequest{
				Argv: []string{"bash", "-c", "while :; do sleep 300 & done"}, Stdout: io.Discard, Stderr: io.Discard,
			})
		})
	}
	most := 0
	for until := time.Now().Add(8 * time.Second); time.Now().Before(until); {
		var r cli.Result
		count := rootStep{argv: []string{"/bin/sh", "-c", "cat /proc/[0-9]*/status 2>/dev/null"}, reads: 8 << 20, out: &r}
		if err := w.asRoot(t.Context(), s.ID, "count", count); err != nil {
			t.Fatal(err)
		}
		most = max(most, strings.Count(string(r.Stdout), "Name:\tsleep\n"))
		if most > limit {
			break
		}
	}
	if most < limit/4 || most > limit {
		t.Errorf("%d processes, the limit is %d", most, limit)
	}
	if err := w.Stop(t.Context(), s.ID); err != nil {
		t.Error(err)
	}
	cancel()
	both.Wait()
	w.up(t, s)
	if got := w.sh(t, s, "id -un"); got != "node\n" {
		t.Errorf("%q", got)
	}
}

// listens lists the ports of TCP that a process listens on.
func listens(t *testing.T, pid int) (ports []string) {
	t.Helper()
	open := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) == 0 {
		t.Fatalf("descriptors of %d: %v", pid, err)
	}
	for _, fd := range fds {
		to, _ := os.Readlink(fd)
		open[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
	}
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && open[f[9]] {
				ports = append(ports, f[1])
			}
		}
	}
	return ports
}
