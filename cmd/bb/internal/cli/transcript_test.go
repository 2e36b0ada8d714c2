package cli

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/fake"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// blind is a driver that reads nothing of what does not run, as smolvm's.
type blind struct{ backends.Driver }

// endingOne is a planning about to remove one bottle that does not run.
func endingOne(t *testing.T, action plan.Action, d backends.Driver) (*planning, *bytes.Buffer) {
	t.Helper()
	st, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	id := spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"}
	said := &bytes.Buffer{}
	p := &planning{
		compiled: &compiled{state: st}, app: &app{g: &grammar{}, stderr: said, stdin: strings.NewReader("")},
		drivers: drivers{"far": d}, seen: []plan.World{{Backend: "far", Instances: []plan.Instance{{
			ID: id, Backend: "far", Agent: &plan.Part{Transcript: "/home/node/.talks"},
		}}}},
		plan: &plan.Plan{Changes: []plan.Change{{ID: id, Backend: "far", Action: action}}},
	}
	return p, said
}

// TestUnreadIsTold: whoever agrees to the end of a bottle whose conversations
// cannot be read hears so first, once, and of those that were kept before.
func TestUnreadIsTold(t *testing.T) {
	d := blind{fake.New(fake.Options{})}
	p, said := endingOne(t, plan.Remove, d)
	if err := p.consent("destroy", true, false); err != nil {
		t.Fatal(err)
	}
	if got := said.String(); got != "dev: it does not run, and far reads no bottle that does not: its conversations cannot be kept (start it first where they matter)\n" {
		t.Errorf("it says %q", got)
	}
	said.Reset()
	gone := plan.Node{Op: plan.OpRemoveAgent, Backend: "far", Instance: p.plan.Changes[0].ID}
	p.keepTranscript(t.Context(), gone)
	if p.tellAll(); said.Len() > 0 {
		t.Errorf("again: %q", said)
	}
	// It was not off yet when somebody was asked.
	p.toldOf = nil
	p.keepTranscript(t.Context(), gone)
	if p.tellAll(); !strings.Contains(said.String(), "cannot be kept") {
		t.Errorf("what came later is not told: %q", said)
	}

	p, said = endingOne(t, plan.Replace, d)
	if _, err := p.state.KeepTranscript(p.plan.Changes[0].ID.Name(), time.Now(), func(w io.Writer) error {
		out := tar.NewWriter(w)
		_ = out.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeReg})
		return out.Close()
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.consent("apply", true, false); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`cannot be kept; there are those of 20[0-9-]+ [0-9:]+, in .*/transcripts/bb-dev-012345-.*\.tar\.gz\n$`).MatchString(said.String()) {
		t.Errorf("it says %q", said)
	}

	for what, p := range map[string]*planning{
		"a stop":                  first(endingOne(t, plan.Stop, d)),
		"what is read all right":  first(endingOne(t, plan.Remove, fake.New(fake.Options{}))),
		"what is only shown":      first(endingOne(t, plan.None, d)),
		"what keeps nothing":      without(first(endingOne(t, plan.Remove, d))),
		"another one's that runs": running(first(endingOne(t, plan.Remove, d))),
	} {
		if err := p.consent("destroy", true, false); err != nil {
			t.Fatal(err)
		}
		if got := p.app.stderr.(*bytes.Buffer).String(); got != "" {
			t.Errorf("%s: %q", what, got)
		}
	}
}

func first(p *planning, _ *bytes.Buffer) *planning { return p }

func without(p *planning) *planning {
	p.seen[0].Instances[0].Agent.Transcript = ""
	return p
}

func running(p *planning) *planning {
	p.seen[0].Instances[0].Agent.Running = true
	return p
}

// TestWayOut names only what a backend can do.
func TestWayOut(t *testing.T) {
	c := plan.Change{ID: spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"}, Backend: "far"}
	all := fake.New(fake.Options{})
	for want, d := range map[string]backends.Driver{
		"bb cp dev:PATH . carries files out of it; bb commit dev makes an image of it; bb apply dev makes it anew, without that": all,
		"it starts as it was when what changed is put back; bb apply dev makes it anew, without that":                            blind{all},
	} {
		p := &planning{drivers: drivers{"far": d}}
		if got := p.wayOut(c); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	c.ID.Replica = "x12ab"
	if got := (&planning{drivers: drivers{"far": all}}).wayOut(c); !strings.HasSuffix(got, "; bb destroy dev_x12ab removes it") {
		t.Errorf("of one for a session it says %q", got)
	}
}

// TestInUseNamesTheCommand: the next step is the command that was given, where it
// has --force.
func TestInUseNamesTheCommand(t *testing.T) {
	id := spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "x12ab"}
	for operation, want := range map[string]string{
		"stop": "bb stop --force", "destroy": "bb destroy --force", "apply": "bb apply --force", "cleanup": "bb cleanup --force",
		"start": "bb destroy dev_x12ab --force", "run": "bb destroy dev_x12ab --force",
	} {
		p := &planning{operation: operation}
		err := p.stillIdle(t.Context(), busy{}, id)
		if err == nil || !strings.HasSuffix(err.Error(), "or "+want+")") {
			t.Errorf("%s: %v", operation, err)
		}
	}
}

// busy is a driver of a bottle in which something runs.
type busy struct{ backends.Driver }

func (busy) Sessions(context.Context, spec.ID) (int, error) { return 1, nil }
