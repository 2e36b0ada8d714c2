package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnsetTokenIsNamed asserts that an apply without a token's value says
// which variable is missing, starts nothing that would need it, shows no value
// of another, and is repaired by setting it.
func TestUnsetTokenIsNamed(t *testing.T) {
	h := newHome(t)
	value := "token-" + random(16)
	h.env = []string{"E2E_SET=" + value, "E2E_UNSET="}
	h.bottle("open", `
agent_provider: {template: shell}
egress:
  routes:
    - {host: a.test, auth: {scheme: Bearer, token_ref: E2E_SET}}
    - {host: b.test, auth: {scheme: Bearer, token_ref: E2E_UNSET}}`)
	h.agent("worker", "open", "")

	h.must("plan").says(t, "E2E_UNSET") // a note in a plan
	r := h.fails("apply", "-y")
	r.says(t, "E2E_UNSET")
	if strings.Contains(r.all(), value) {
		t.Errorf("the value of another token is shown: %s", r)
	}
	h.env = []string{"E2E_SET=" + value, "E2E_UNSET=" + random(8)}
	h.must("apply", "-y")
	h.settled()
}

// TestBrokenDockerfiles asserts one clear error for a dockerfile that is not
// there and for one that does not build, with the last lines of the build.
func TestBrokenDockerfiles(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.bottle("custom", "agent_provider: {template: shell, dockerfile: missing.Dockerfile}")
	h.agent("worker", "custom", "")
	h.fails("apply", "-y").says(t, "missing.Dockerfile")

	dir := t.TempDir() // a build sees everything beside its Dockerfile
	file := filepath.Join(dir, "Dockerfile")
	recipe := func(lines string) {
		if err := os.WriteFile(file, []byte("FROM "+baseImage()+"\n"+lines), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	custom := "custom-" + h.id // images are named after their bottle
	t.Cleanup(func() {
		tags, err := command("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "bb-"+custom)
		if err != nil || tags == "" {
			t.Errorf("no images of %s: %v", custom, err)
		}
		command("docker", append([]string{"rmi", "-f"}, strings.Fields(tags)...)...) //nolint:errcheck // only to clean up
	})
	h.bottle(custom, "agent_provider: {template: shell, dockerfile: "+file+"}")
	h.write("agents/worker-"+h.id+".md", "---\nbottle: "+custom+"\n---\n")
	recipe("RUN for n in $(seq 40); do echo line-$n-of-the-build; done; exit 7\n")
	r := h.fails("apply", "-y")
	_, message, _ := strings.Cut(r.stderr, "\nbb: ")
	for line, want := range map[string]bool{"line-40-": true, "line-25-": true, "line-5-": false} {
		if strings.Contains(message, line) != want {
			t.Errorf("want the last 20 lines of the build in the error (%s: %v): %s", line, want, r)
		}
	}

	// An image without the agent's user is refused by name.
	recipe("RUN echo " + h.id + "\n")
	h.fails("apply", "-y").says(t, "node")

	recipe("RUN useradd --create-home --uid 1000 node # " + h.id + "\nUSER node\n")
	h.must("apply", "-y")
	h.settled()
}

// TestUnknownAgentAndBottle asserts errors that name what there is.
func TestUnknownAgentAndBottle(t *testing.T) {
	h, agents := shellHome(t)
	h.fails("apply", "-y", agents[0]+"z").says(t, agents[0])
	h.fails("exec", "nobody", "--", "true").says(t, "nobody")
	lost := h.agent("lost", "nowhere", "")
	h.fails("validate").says(t, "nowhere", lost)
	h.fails("apply", "-y").says(t, "nowhere")
	if err := os.Remove(filepath.Join(h.dir, "agents", lost+".md")); err != nil {
		t.Fatal(err)
	}
	h.must("apply", "-y")
	h.settled()
}

// TestExecPassesExitCodesAndStandardInput asserts what scripts rely on.
func TestExecPassesExitCodesAndStandardInput(t *testing.T) {
	h, agents := shellHome(t)
	h.must("apply", "-y")
	if r := h.run("exec", agents[0], "--", "sh", "-c", "exit 7"); r.code != 7 {
		t.Errorf("want exit 7: %s", r)
	}
	r := h.runWith("through\n", "exec", agents[0], "--", "cat")
	if r.code != 0 || r.stdout != "through\n" {
		t.Errorf("standard input does not pass: %s", r)
	}
	if r := h.run("exec", agents[0], "--", "sh", "-c", "echo out; echo err >&2"); r.stdout != "out\n" || r.stderr != "err\n" {
		t.Errorf("the streams are mixed: %q %q", r.stdout, r.stderr)
	}
}
