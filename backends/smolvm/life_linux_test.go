package smolvm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// Binaries of other versions and exported images go when nothing has them.
func TestOrphans(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	// Not the images that the tests share.
	if err := os.Remove(filepath.Join(w.opts.Dir, "images")); err != nil {
		t.Fatal(err)
	}
	w.upTo(t, s)
	old := w.binDir("0123456789ab")
	if err := os.MkdirAll(old, 0o755); err != nil {
		t.Fatal(err)
	}
	names := func() (all []string) {
		orphans, err := w.Orphans(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range orphans {
			all = append(all, o.Kind)
			if err := w.RemoveOrphan(t.Context(), o); err != nil {
				t.Error(err)
			}
		}
		return all
	}
	if got := names(); len(got) != 1 || got[0] != "directory" {
		t.Errorf("beside a machine: %v", got)
	}
	inUse := backends.Orphan{Kind: "directory", Name: "x", Ref: w.binDir(must(t, w))}
	if err := w.RemoveOrphan(t.Context(), inUse); err == nil {
		t.Error("bb was removed from under a machine")
	}
	if err := w.RemoveAgent(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if got := names(); len(got) != 1 || got[0] != "image" {
		t.Errorf("without a machine: %v", got)
	}
	if got := names(); len(got) != 0 {
		t.Errorf("afterwards: %v", got)
	}
}

func must(t *testing.T, w *world) string {
	t.Helper()
	b, err := w.binary()
	if err != nil {
		t.Fatal(err)
	}
	return b.digest
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
