package smolvm

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

func (w *world) seen(t *testing.T, s *spec.Spec) *plan.Part {
	t.Helper()
	all, err := w.Observe(t.Context(), plan.Query{Owner: w.opts.Owner, Specs: []*spec.Spec{s}})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all.Instances {
		if i.ID == s.ID {
			return i.Agent
		}
	}
	return nil
}

// smolvm is somebody's hand on the command line.
func (w *world) smolvm(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(w.fake.Path, args...)
	cmd.Env = append(os.Environ(), "SMOLVM_DATA_DIR="+w.fake.DataDir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("smolvm %v: %v: %s", args, err, out)
	}
}

// A machine that another hand started, or a bb that was killed half-way, is no
// bottle: nothing runs in it until bb has looked at it and filled it.
func TestStartedByAnotherHand(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.upTo(t, s)
	w.smolvm(t, "machine", "start", "--name", s.ID.Name())
	if p := w.seen(t, s); p.Running || !strings.Contains(p.Status, "not by a bb") {
		t.Errorf("%+v", p)
	}
	if _, err := w.Exec(t.Context(), s.ID, backends.ExecRequest{Argv: []string{"true"}, Stdout: os.Stdout, Stderr: os.Stderr}); err == nil {
		t.Error("a command runs in it")
	}
	if err := w.Provision(t.Context(), s, newSecrets(w.Driver, s), []string{spec.PartEnv}); err == nil {
		t.Error("it is given secrets")
	}
	if err := w.StartAgent(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if p := w.seen(t, s); !p.Running || len(p.Altered) > 0 {
		t.Errorf("%+v", p)
	}
	before := w.fake.Process(s.ID.Name())
	if err := w.StartAgent(t.Context(), s); err != nil || w.fake.Process(s.ID.Name()) != before {
		t.Errorf("one that is up was started again: %v", err)
	}
}

// What the agent made outlives a stop and a crash; what bb placed is there
// again, where the agent did away with it too.
func TestStartAgain(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.up(t, s)
	w.sh(t, s, "echo mine >~/mine; echo work >work; rm -rf ~/.bb; ln -s /etc ~/.bb; rm -r /home/node/workspace/../.conf")
	w.fake.Kill(s.ID.Name())
	if p := w.seen(t, s); p.Running {
		t.Errorf("a dead machine is observed as %+v", p)
	}
	if err := w.StartAgent(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	got := w.sh(t, s, "cat ~/mine work ~/.bb/prompt.md; echo; echo \"[$HIDDEN]\"; ls -d ~/.conf 2>/dev/null; stat -c %U ~/.bb ~/.bb/prompt.md; ls /etc/prompt.md 2>/dev/null")
	if want := "mine\nwork\nbe kind\n[]\nnode\nnode\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	bundle := w.sh(t, s, "grep -c '^# bb: ' "+spec.CABundle)
	if bundle != "1\n" {
		t.Errorf("the certificate is in the bundle %s times", bundle)
	}
}

// A machine whose inside is silent has a process that runs on: a stop ends it,
// and what was known of it does not fit the next one.
func TestStopOfASilentMachine(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.up(t, s)
	for _, state := range []string{"unreachable", "stopped", "gone"} {
		if state == "unreachable" {
			if err := syscall.Kill(w.fake.Process(s.ID.Name()), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			if p := w.seen(t, s); p.Status != state || p.Running || !p.Lingers {
				t.Errorf("observed: %+v", p)
			}
		}
		if state == "gone" {
			if err := w.RemoveAgent(t.Context(), s.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Stop(t.Context(), s.ID); err != nil {
			t.Errorf("%s: %v", state, err)
		}
		if pid := w.fake.Process(s.ID.Name()); pid != 0 {
			t.Errorf("%s: process %d runs on", state, pid)
		}
		if _, err := os.Stat(w.markFile(s.ID.Name())); err == nil {
			t.Errorf("%s: it is still marked as a bottle", state)
		}
	}
}

// What a sidecar says holds what others say: none of it drives a terminal.
func TestLogsArePlain(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.opts.Sidecars = loud{w.sidecars}
	var out bytes.Buffer
	if err := w.Logs(t.Context(), s.ID, backends.LogRequest{Sidecar: true}, &out); err != nil || out.String() != "]0;title[2Jé\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

type loud struct{ Sidecars }

func (loud) Logs(_ context.Context, _ spec.ID, _ backends.LogRequest, w io.Writer) error {
	for _, part := range []string{"\x1b]0;title\a\x1b[2J\u202e\xc3", "\xa9\n"} {
		if _, err := io.WriteString(w, part); err != nil {
			return err
		}
	}
	return nil
}

// smolvm that is killed, or says nothing, in the middle of a step.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		verb, kind string
		ends       bool // StartAgent ends well all the same
	}{
		{"start", fakesmol.FaultKilled, true},
		{"start", fakesmol.FaultKilledAfter, true},
		{"start", fakesmol.FaultUnreachable, false},
		{"start", fakesmol.FaultExit1, false},
		{"exec", fakesmol.FaultKilled, true},
		{"exec", fakesmol.FaultExit1, false},
		{"exec", fakesmol.FaultTruncate, false},
		{"ls", fakesmol.FaultTruncate, true},
	} {
		t.Run(tt.verb+" "+tt.kind, func(t *testing.T) {
			w, s := newWorld(t), newSpec(t)
			w.upTo(t, s)
			w.fake.Fault(tt.verb, tt.kind, 1)
			if err := w.StartAgent(t.Context(), s); (err == nil) != tt.ends {
				t.Errorf("start: %v", err)
			}
			if p := w.seen(t, s); p.Running != tt.ends {
				t.Errorf("observed: %+v", p)
			}
			if err := w.StartAgent(t.Context(), s); err != nil {
				t.Errorf("again: %v", err)
			}
			if got := w.sh(t, s, "cat ~/.conf"); got != "fixed" {
				t.Errorf("%q", got)
			}
		})
	}
}

// A machine's first start gets the time of a first start, and no other does.
func TestFirstStartTakesItsTime(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.upTo(t, s)
	c, err := w.client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.StartLimits.Later = time.Second // a slow start takes two
	w.fake.Fault("start", fakesmol.FaultSlow, 1)
	if err := w.StartAgent(t.Context(), s); err != nil {
		t.Fatalf("the first start: %v", err)
	}
	w.fake.Kill(s.ID.Name())
	w.fake.Fault("start", fakesmol.FaultSlow, 1)
	if err := w.StartAgent(t.Context(), s); !cli.IsKind(err, cli.Timeout) {
		t.Errorf("a slow later start: %v", err)
	}
}
