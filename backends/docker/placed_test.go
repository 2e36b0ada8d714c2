package docker

import (
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/spec"
)

const skillsDir = spec.Home + "/.tool/skills"

// withSkills replaces a spec's skills: name -> files of it.
func withSkills(s *spec.Spec, skills map[string][]string) {
	var files []spec.File
	for _, f := range s.Files {
		if f.Part != spec.PartSkills {
			files = append(files, f)
		}
	}
	for name, inside := range skills {
		files = append(files, spec.File{Path: skillsDir + "/" + name, Dir: true, Mode: 0o755, Part: spec.PartSkills})
		for _, f := range inside {
			files = append(files, spec.File{
				Path: skillsDir + "/" + name + "/" + f, Mode: 0o644, Content: []byte(f), Part: spec.PartSkills,
			})
		}
	}
	s.Files = files
}

// TestWhatIsNoLongerDeclaredGoes changes what parts place, in a bottle that
// runs and in one that was stopped: what bb placed before goes, what the agent
// made stays, and nothing runs in the agent while nothing differs.
func TestWhatIsNoLongerDeclaredGoes(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	s.Files = append(s.Files,
		spec.File{Path: spec.Home + "/.tool", Dir: true, Mode: 0o700},
		spec.File{Path: spec.Home + "/.tool/login", Mode: 0o600, Content: []byte("stand-in"), Part: spec.PartLogin})
	withSkills(s, map[string][]string{"one": {"SKILL.md", "more"}, "two": {"SKILL.md"}})
	r := &recorder{engineAPI: d.engine}
	d.engine = r
	bringUp(t, d, s)
	var inAgent []string
	for _, e := range r.execs {
		if strings.HasPrefix(e, agentUser) {
			inAgent = append(inAgent, e)
		}
	}
	if len(inAgent) != 1 || !strings.Contains(inAgent[0], "door env") {
		t.Errorf("a fresh bottle needs more than its secret environment: %v", inAgent)
	}
	sh(t, d, s, "mkdir -p ~/.tool/skills/own && echo own > ~/.tool/skills/own/SKILL.md; chmod 0 ~/.tool/skills/two")
	look := func(want string) {
		t.Helper()
		got, _ := sh(t, d, s, "cd ~/.tool && find . -type f -printf '%P ' | tr ' ' '\\n' | sort | tr '\\n' ' '; stat -c %a .")
		if diff := cmp.Diff(want, strings.Join(strings.Fields(got), " ")); diff != "" {
			t.Error(diff)
		}
	}
	change := func(execs int, parts ...string) {
		t.Helper()
		r.execs = nil
		for range 2 { // a step may be repeated
			if err := d.Provision(t.Context(), s, spec.Secrets{}, parts); err != nil {
				t.Fatal(err)
			}
		}
		if len(r.execs) != execs {
			t.Errorf("%d commands, want %d: %v", len(r.execs), execs, r.execs)
		}
	}

	withSkills(s, map[string][]string{"one": {"SKILL.md"}})
	change(2, spec.PartSkills)
	look("login skills/one/SKILL.md skills/own/SKILL.md 700")

	s.Files[0].Content = []byte("be quick")
	change(1, spec.PartPrompt)
	if got, _ := sh(t, d, s, "cat ~/.bb/prompt.md"); got != "be quick" {
		t.Errorf("prompt %q", got)
	}

	now := 0
	if err := raw(t).ContainerStop(t.Context(), s.ID.Name(), container.StopOptions{Timeout: &now}); err != nil {
		t.Fatal(err)
	}
	withSkills(s, map[string][]string{"three": {"SKILL.md"}})
	if err := d.StartAgent(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	look("login skills/one/SKILL.md skills/own/SKILL.md 700") // as it was stopped
	change(2, spec.PartSkills)
	look("login skills/own/SKILL.md skills/three/SKILL.md 700")

	var files []spec.File
	for _, f := range s.Files {
		if f.Part == "" {
			files = append(files, f)
		}
	}
	s.Files = files
	change(1, spec.PartPrompt, spec.PartSkills, spec.PartLogin)
	look("skills/own/SKILL.md 700")
	if got, code := sh(t, d, s, "cat ~/.bb/prompt.md"); code == 0 {
		t.Errorf("the prompt is still there: %q", got)
	}
	if out, code := sh(t, d, s, "echo x > "+guest.RecordPath+" || mv /var/lib/bb /var/lib/b"); code == 0 {
		t.Errorf("the agent may write the record: %s", out)
	}
}

// TestPlacingIsNoPower: what the agent puts where bb places files is dealt with
// as the agent would: a pipe holds nobody up, a link leads nowhere that the
// agent may not write to, and the engine touches nothing of it.
func TestPlacingIsNoPower(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	withSkills(s, map[string][]string{"one": {"SKILL.md"}})
	bringUp(t, d, s)
	for what, c := range map[string]struct {
		trap string
		ok   bool
	}{
		"a pipe at the file":     {"rm -f ~/.tool/skills/one/SKILL.md && mkfifo ~/.tool/skills/one/SKILL.md", true},
		"a link to root's file":  {"ln -sf " + guest.RecordPath + " ~/.tool/skills/one/SKILL.md", true},
		"a link to root's place": {"rm -rf ~/.tool && ln -s /var/lib/bb ~/.tool", true}, // it makes way
	} {
		if out, code := sh(t, d, s, c.trap); code != 0 {
			t.Fatalf("%s: %s", what, out)
		}
		withSkills(s, map[string][]string{"one": {"SKILL.md", randomHex(t, 4)}})
		began := time.Now()
		err := d.Provision(t.Context(), s, spec.Secrets{}, []string{spec.PartSkills})
		if (err == nil) != c.ok || time.Since(began) > 10*time.Second {
			t.Errorf("%s: after %s: %v", what, time.Since(began), err)
		}
		if out, code := sh(t, d, s, "grep -q skills "+guest.RecordPath+" && [ ! -e /var/lib/bb/skills ]"); code != 0 {
			t.Errorf("%s: root's files changed: %s", what, out)
		}
		sh(t, d, s, "rm -f ~/.tool; mkdir -p ~/.tool")
	}
}
