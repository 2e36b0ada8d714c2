package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTranscriptsKept ends bottles that run, are paused and are stopped: what was
// said in each is kept, once, and can be read; and what a stopped one holds gets
// out of it.
func TestTranscriptsKept(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.bottle("talks", "agent_provider: {template: claude}\n")
	agent := h.agent("talks", "talks", "")
	say := func(word string) {
		t.Helper()
		h.must("exec", agent, "--", "sh", "-c", "mkdir -p ~/.claude/projects/x ~/workspace/made && echo "+word+" > ~/.claude/projects/x/"+word+".jsonl && "+
			"ln -sf /etc/passwd ~/.claude/projects/x/out && echo "+word+" > ~/workspace/made/"+word)
	}
	kept := func() (names []string) {
		t.Helper()
		var list []struct{ Name, Bottle, Path string }
		if err := json.Unmarshal([]byte(h.must("transcripts", agent, "--json").stdout), &list); err != nil {
			t.Fatal(err)
		}
		for _, k := range list {
			if info, err := os.Lstat(k.Path); err != nil || info.Mode().Perm() != 0o600 || k.Bottle != agent {
				t.Errorf("%+v: %v, %v", k, info, err)
			}
			names = append(names, k.Name)
		}
		return names
	}
	h.must("apply", "-y")
	first, second := "first-"+random(4), "second-"+random(4)
	say(first)
	h.must("stop", agent).says(t, agent+": its conversations are kept in")

	// Out of the stopped one, by the engine.
	out := t.TempDir()
	h.must("cp", agent+":made", out)
	h.must("cp", agent+":/etc/hostname", out)
	h.must("cp", agent+":~/.claude/projects/.", "--skip", out).says(t, "left out: 1 path")
	h.fails("cp", agent+":~/.claude/projects", out).says(t, "a link that leads out of the tree", "--skip")
	h.fails("cp", agent+":none", out).says(t, agent+":none: no such file or directory")
	h.fails("cp", out, agent+":").says(t, "does not run", "bb start --resume "+agent)
	for name, want := range map[string]string{"made/" + first: first, "x/" + first + ".jsonl": first} {
		if b, err := os.ReadFile(filepath.Join(out, name)); err != nil || strings.TrimSpace(string(b)) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	h.fails("exec", agent, "--", "true").says(t, "bb start --resume "+agent)

	h.must("destroy", "-y", agent).says(t, agent+": its conversations are kept in")
	if names := kept(); len(names) != 1 {
		t.Errorf("after a stop and a destroy: %v", names)
	}
	h.must("apply", "-y")
	say(second)
	docker(t, "pause", containerOf(t, agent, false))
	h.must("ps").says(t, "paused")
	h.bottle("talks", "agent_provider: {template: claude}\nenv: {A: b}\n")
	h.must("apply", "-y").says(t, "1 replaced", agent+": its conversations are kept in")
	names := kept()
	if len(names) != 2 {
		t.Fatalf("after a replacement: %v", names)
	}
	r := h.must("transcripts", "show", names[1])
	if want := "==> projects/x/" + second + ".jsonl <==\n" + second + "\n"; r.stdout != want {
		t.Errorf("it shows %q, want %q", r.stdout, want)
	}
	h.must("destroy", "-y", agent)
	if names := kept(); len(names) != 2 {
		t.Errorf("of a bottle in which nothing was said: %v", names)
	}
}
