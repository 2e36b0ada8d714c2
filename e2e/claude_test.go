package e2e_test

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestClaudeAnswersWithAnInjectedCredential runs the real Claude Code from its
// npm package against a fake of its API. The credential reaches the API, and
// nothing that an agent, or a person with the engine's API, can read holds it.
func TestClaudeAnswersWithAnInjectedCredential(t *testing.T) {
	u := newUpstream(t, "api.anthropic.com")
	h := newHome(t)
	value := "oauth-" + random(20)
	word := "ping-" + random(8)
	h.env = []string{"E2E_CLAUDE_TOKEN=" + value}
	literal := "literal-" + random(12)
	h.bottle("claude", "agent_provider: {template: claude, auth_token: E2E_CLAUDE_TOKEN}\nenv: {E2E_LITERAL: "+literal+"}\negress:\n"+
		u.egress()+"  routes:\n"+u.route("api.anthropic.com", ""))
	agent := h.agent("claude", "claude", "Answer in one word.")

	begin := time.Now()
	r := h.must("run", agent, "-p", word)
	if !strings.Contains(r.stdout, "pong: ") || !strings.Contains(r.stdout, word) {
		t.Fatalf("want the fake's text on standard output: %s", r)
	}
	for _, s := range u.seen() {
		if s.Authorization != "Bearer "+value {
			t.Errorf("the API saw the authorization %q on %s %s", s.Authorization, s.Method, s.Path)
		}
	}
	turns := u.turns()
	if turns == 0 {
		t.Errorf("the API saw no turn with the value: %+v", u.seen())
	}

	bottle, sidecar := containerOf(t, agent, false), containerOf(t, agent, true)
	// While a turn is under way: the agent's own processes are looked at too.
	turn := make(chan result)
	go func() { turn <- h.run("run", agent, "-p", "think-20s") }()
	eventually(t, "the API thinks", func() bool { return u.turns() > turns })
	holdsOnly(t, bottle, value, literal)
	if r := <-turn; r.code != 0 {
		t.Errorf("the slow turn: %s", r)
	}

	events := docker(t, "events", "--since", begin.Format(time.RFC3339), "--until", time.Now().Add(time.Second).Format(time.RFC3339))
	absent(t, "the engine's events", strings.NewReader(events), value)
	absent(t, "the engine's events", strings.NewReader(events), word)
	for _, c := range []string{bottle, sidecar} {
		absentOnEngine(t, c, value)
		absentFrom(t, value, "save", docker(t, "inspect", "--format", "{{.Image}}", c))
	}
	for _, args := range [][]string{{"plan"}, {"plan", "--json"}, {"ps", "--json"}, {"logs", agent}} {
		absent(t, "bb "+args[0], strings.NewReader(h.must(args...).all()), value)
	}
	absentBelow(t, h.dir, value)
}

// holdsOnly searches everything of a bottle in the middle of a turn: a value is
// nowhere, while a literal that the manifest sets is found.
func holdsOnly(t *testing.T, bottle, value, literal string) {
	t.Helper()
	found, processes := search(t, bottle, value, literal)
	foundOnly(t, found, processes)
}

// foundOnly judges a search for a value and a literal.
func foundOnly(t *testing.T, found [][]string, processes int) {
	t.Helper()
	if len(found[0]) > 0 {
		t.Errorf("the bottle holds the value: %v", found[0])
	}
	if processes < 2 {
		t.Errorf("only %d processes were searched: the agent was not among them", processes)
	}
	if len(found[1]) < 2 {
		t.Errorf("the search finds a literal of the manifest only in %v: it proves nothing", found[1])
	}
}

// absentOnEngine searches what the engine keeps of a container: its
// configuration, its output and its files.
func absentOnEngine(t *testing.T, container, value string) {
	t.Helper()
	absent(t, "docker inspect "+container, strings.NewReader(docker(t, "inspect", container)), value)
	logs, err := exec.Command("docker", "logs", container).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	absent(t, "docker logs "+container, bytes.NewReader(logs), value)
	absentFrom(t, value, "export", container)
}

// absentFrom searches what docker streams: a file system or an image's layers.
func absentFrom(t *testing.T, value string, args ...string) {
	t.Helper()
	cmd := exec.Command("docker", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	absent(t, "docker "+strings.Join(args, " "), out, value)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("docker %v: %v", args, err)
	}
}

// absentBelow searches every file of a directory of this machine, but what
// images are: exported, and as a machine has them below what is written to it.
func absentBelow(t *testing.T, dir, value string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == "images" || d.Name() == "rootfs") {
			return fs.SkipDir
		}
		if err != nil || !d.Type().IsRegular() || d.Name() == "archive.tar" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		absent(t, path, f, value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// absent reads all of r, in pieces that overlap, and fails where value occurs.
func absent(t *testing.T, where string, r io.Reader, value string) {
	t.Helper()
	buffer, kept := make([]byte, 1<<20), 0
	for {
		n, err := r.Read(buffer[kept:])
		piece := buffer[:kept+n]
		if bytes.Contains(piece, []byte(value)) {
			t.Errorf("%s holds the value", where)
			_, _ = io.Copy(io.Discard, r) // lets the writer end
			return
		}
		if err != nil {
			if err != io.EOF {
				t.Errorf("%s: %v", where, err)
			}
			return
		}
		kept = copy(buffer, piece[max(0, len(piece)-len(value)):])
	}
}
