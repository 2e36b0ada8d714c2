package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// begun is a session that the agent attacks while it lives.
type begun struct {
	t      *testing.T
	keys   *io.PipeWriter
	out    *bytes.Buffer // read it after the end
	cancel context.CancelFunc
	code   chan int
	err    error
}

// begin starts cat under a name and waits until it runs.
func begin(t *testing.T, d *Driver, s *spec.Spec, line string) *begun {
	t.Helper()
	in, keys := io.Pipe()
	b := &begun{t: t, keys: keys, out: &bytes.Buffer{}, code: make(chan int, 1)}
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(t.Context())
	go func() {
		code, err := d.Exec(ctx, s.ID, backends.ExecRequest{
			Argv: []string{"sh", "-c", "cd /tmp; touch begun; " + line}, Stdin: in, Stdout: b.out, Stderr: b.out, Session: "main",
		})
		b.err = err
		b.code <- code
	}()
	sh(t, d, s, "while ! rm /tmp/begun 2>/dev/null; do sleep 0.05; done")
	return b
}

// ends waits, and fails when it takes longer than a hostile bottle may hold bb.
func (b *begun) ends() (int, error) {
	b.t.Helper()
	select {
	case code := <-b.code:
		return code, b.err
	case <-time.After(farewell + 5*time.Second):
		b.t.Fatal("the session holds bb")
		return 0, nil
	}
}

// supervisors sets P to the process of the session that is called main.
const supervisors = `for p in /proc/[0-9]*; do
  tr '\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^/bb/bin/bb door session --name main' && P=${p#/proc/}
done; `

// ptrace attaches to the process $P, by its number in this kernel's table.
const ptrace = `perl -e 'use POSIX; my $n = (POSIX::uname())[4] eq "x86_64" ? 101 : 117; ` +
	`my $r = syscall($n, 16, $ARGV[0]+0, 0, 0); print $r == -1 ? "refused: $!\n" : "attached\n"' $P`

// TestSupervisorIsClosed: the agent, though of the same user, reads and writes
// none of a supervisor's streams and memory.
func TestSupervisorIsClosed(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	b := begin(t, d, s, "cat")
	out, _ := sh(t, d, s, supervisors+`[ -n "$P" ] && echo found
for f in fd/0 fd/1 fd/2 mem environ; do cat /proc/$P/$f >/dev/null 2>&1 && echo read $f; done
for f in 0 1 2; do (printf 'e\0\0\0\0' >/proc/$P/fd/$f) 2>/dev/null && echo wrote $f; done
`+ptrace)
	if want := "found\nrefused: Operation not permitted\n"; out != want {
		t.Errorf("the agent says %q, want %q", out, want)
	}
	_, _ = b.keys.Write([]byte("still itself\n"))
	_ = b.keys.Close()
	if code, err := b.ends(); code != 0 || err != nil || b.out.String() != "still itself\n" {
		t.Errorf("code %d, %v, said %q", code, err, b.out)
	}
}

// TestHostileNames: an agent that takes a session's name, or puts something in
// its place, keeps people from that name, and from nothing else.
func TestHostileNames(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	try := func(name string) (int, string, error) {
		out := &bytes.Buffer{}
		code, err := d.Exec(t.Context(), s.ID, backends.ExecRequest{
			Argv: []string{"echo", "ran"}, Stdout: out, Stderr: out, Session: name,
		})
		return code, out.String(), err
	}
	sh(t, d, s, "flock /run/bb/session-main sleep 600 >/dev/null 2>&1 & sleep 0.3")
	if _, out, err := try("main"); !errors.Is(err, backends.ErrSessionBusy) || out != "" {
		t.Errorf("a name that the agent holds: %v, said %q", err, out)
	}
	for what, line := range map[string]string{
		"a link": "ln -s /etc/passwd", "a directory": "mkdir", "a link to nowhere": "ln -s /tmp/made-by-bb",
	} {
		sh(t, d, s, "rm -rf /run/bb/session-odd; "+line+" /run/bb/session-odd")
		if code, out, err := try("odd"); code != 126 || err != nil || strings.Contains(out, "ran") {
			t.Errorf("%s: code %d, %v, said %q", what, code, err, out)
		}
	}
	sh(t, d, s, "rm -rf /run/bb/session-odd; mkfifo /run/bb/session-odd; cat /dev/zero >/run/bb/full; ln -s x /tmp/made-by-bb")
	for _, name := range []string{"odd", ""} {
		if code, out, err := try(name); code != 0 || err != nil || out != "ran\n" {
			t.Errorf("session %q: code %d, %v, said %q", name, code, err, out)
		}
	}
}

// TestAttackedSupervisor: one that is killed or stopped holds nobody.
func TestAttackedSupervisor(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	b := begin(t, d, s, "sleep 60")
	sh(t, d, s, supervisors+"kill -KILL $P")
	if code, err := b.ends(); code != 137 || err != nil {
		t.Errorf("killed: code %d, %v", code, err)
	}

	b = begin(t, d, s, "sleep 60")
	sh(t, d, s, supervisors+"kill -STOP $P")
	b.cancel()
	if _, err := b.ends(); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if _, err := d.Exec(t.Context(), s.ID, backends.ExecRequest{
		Argv: []string{"true"}, Stdout: io.Discard, Stderr: io.Discard, Session: "main",
	}); !errors.Is(err, backends.ErrSessionBusy) {
		t.Errorf("a stopped one has the name: %v", err)
	}
	if out, code := sh(t, d, s, supervisors+"kill -CONT $P; echo ran"); code != 0 || out != "ran\n" {
		t.Errorf("beside a stopped one: code %d, %q", code, out)
	}
}

// TestForkBomb: what multiplies up to the bottle's limit is ended with its
// session.
func TestForkBomb(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	for _, line := range []string{
		"bomb() { trap '' HUP; bomb | bomb & }; bomb; exec sleep 60",
		`perl -e 'use POSIX; $SIG{HUP}="IGNORE"; while (1) { if (fork() == 0) { setsid; sleep 60; exit } }'`,
		`perl -e '$SIG{HUP}="IGNORE"; while (1) { fork }'`,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		begin := time.Now()
		_, err := d.Exec(ctx, s.ID, backends.ExecRequest{
			Argv: []string{"sh", "-c", line}, Stdout: io.Discard, Stderr: io.Discard,
		})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", line, err)
		}
		t.Logf("%s: %v", line, time.Since(begin))
		var left string
		for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			top, err := raw(t).ContainerTop(t.Context(), s.ID.Name(), []string{"-eo", "pid,stat,args"})
			if err != nil {
				t.Fatal(err)
			}
			if left = fmt.Sprint(top.Processes); len(top.Processes) == 1 {
				left = ""
				break
			}
		}
		if left != "" {
			t.Fatalf("%s: these are left: %.500s", line, left)
		}
	}
}

// TestRaceWithSupervisor: before a supervisor has closed itself, the agent may
// open its streams. With them it can end or fake its own sessions, and no more:
// bb neither hangs nor believes more than an output and a code.
func TestRaceWithSupervisor(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	const racer = `use Fcntl; $| = 1; my %seen; open(my $log, ">", "/tmp/won");
while (1) { for my $p (glob "/proc/[0-9]*") { next if $seen{$p}; open(my $c, "<", "$p/cmdline") or next;
  my $l = <$c>; next unless $l =~ /door.session.--name/; sysopen(my $e, "$p/fd/2", O_WRONLY) or next; $seen{$p} = 1;
  syswrite($e, ("B\0\0\0\0", "T\0\0\0\4\xff\xff\xff\xff", "E\0\0\0\2hi", "no frame at all")[keys(%seen) % 4]);
  syswrite($log, "won\n"); } }`
	sh(t, d, s, "nohup perl -e '"+racer+"' >/dev/null 2>&1 & echo $! >/tmp/racer")
	said := map[string]int{}
	for range 40 {
		out := &bytes.Buffer{}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		code, err := d.Exec(ctx, s.ID, backends.ExecRequest{
			Argv: []string{"sh", "-c", "exit 7"}, Stdout: out, Stderr: out, Session: "main",
		})
		if ctx.Err() != nil {
			t.Fatal("bb hangs")
		}
		cancel()
		said[fmt.Sprintf("%d %v %q", code, err, out)]++
		if err != nil && !errors.Is(err, backends.ErrSessionBusy) && !strings.Contains(err.Error(), "not a frame of a session") {
			t.Errorf("code %d, %v", code, err)
		}
	}
	won, _ := sh(t, d, s, "kill -9 $(cat /tmp/racer); grep -c won /tmp/won")
	t.Logf("%s of 40 races won: %v", strings.TrimSpace(won), said)
}

// TestNoProcessLeft: an agent that takes every process keeps bb out of its
// bottle, with an error.
func TestNoProcessLeft(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	sh(t, d, s, `nohup perl -e 'while (1) { my $p = fork(); if (!defined $p) { select undef, undef, undef, 0.001 }
elsif ($p == 0) { sleep 600; exit } }' >/dev/null 2>&1 & sleep 1`)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out := &bytes.Buffer{}
	code, err := d.Exec(ctx, s.ID, backends.ExecRequest{Argv: []string{"echo", "ran"}, Stdout: out, Stderr: out})
	if ctx.Err() != nil || err == nil || strings.Contains(out.String(), "ran") {
		t.Errorf("code %d, %v, said %q", code, err, out)
	}
	t.Logf("code %d, %v, said %q", code, err, out)
}
