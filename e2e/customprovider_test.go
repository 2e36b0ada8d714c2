package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The image of a user's own provider, from its directory: what the shell
// provider has, and a script for a program.
const customDockerfile = `ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates curl git less procps \
 && rm -rf /var/lib/apt/lists/*
RUN (getent passwd node >/dev/null || useradd --create-home --uid 1000 --shell /bin/bash node) \
 && install -d -o node -g node /home/node/workspace
COPY mine /usr/local/bin/mine
RUN chmod 755 /usr/local/bin/mine
USER node
WORKDIR /home/node/workspace
`

// customScript is such a program: it reads its settings and its instructions,
// takes its prompt from standard input and asks its service with a token.
const customScript = `#!/bin/sh
if [ "$1" = --verify ]; then date >> ~/.mine/verified; exit 0; fi
echo "settings $(cat ~/.mine/settings) mode $(stat -c %a ~/.mine/settings)"
[ "$1" = --instructions ] && { echo "told $(cat "$2")"; shift 2; }
echo "arguments $*"
echo "prompt $(cat)"
echo "variables $MINE_KEY $MINE_MODE"
curl -sS --fail -H "X-Mine-Key: $MINE_KEY" https://api.mine.example/hello
`

// TestProviderOfOnesOwn runs an agent of a provider that is a directory with a
// CUE file and a Dockerfile: its program, prompt, files, environment and
// routes, and a token that the program never holds.
func TestProviderOfOnesOwn(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "api.mine.example")
	h := newHome(t)
	dir := filepath.Join(h.dir, "providers", "mine-"+h.id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	provider := "providers/" + filepath.Base(dir) + "/"
	h.write(provider+"mine", customScript)
	h.write(provider+"settings.txt", "of-a-file")
	declaration := `program: {
	run:      ["mine"]
	headless: ["mine", "--print"]
}
env: {MINE_MODE: "literal"}
directories: [{path: "~/.mine", mode: "0700"}]
files: [{path: "~/.mine/settings", mode: "0600", source: "settings.txt"}]
routes: [{host: "api.mine.example", path_allowlist: ["/hello"]}]
auth_token: {host: "api.mine.example", scheme: "raw", header: "X-Mine-Key", env: "MINE_KEY"}
prompt: {file: "~/.mine/AGENT.md", arguments: ["--instructions", "~/.mine/AGENT.md"]}
verify: [["mine", "--verify"]]
`
	h.write(provider+"provider.cue", declaration)
	value := "token-" + random(16)
	h.env = []string{"E2E_MINE_TOKEN=" + value}
	h.bottle("dev", "agent_provider: {template: "+filepath.Base(dir)+", auth_token: E2E_MINE_TOKEN}\negress:\n"+
		u.egress()+"  routes:\n"+u.route("api.mine.example", "path_allowlist: [/]"))
	agent := h.agent("own", "dev", "Say hello.")

	h.fails("plan").says(t, "provider "+filepath.Base(dir)+": ", "Dockerfile: no such file or directory", "put a Dockerfile beside its provider.cue")
	h.write(provider+"Dockerfile", customDockerfile)
	h.must("info", agent).says(t, filepath.Base(dir)+" (providers/"+filepath.Base(dir)+"/provider.cue)")

	r := h.must("run", agent, "-p", "the question")
	for _, want := range []string{
		"settings of-a-file mode 600", "told Say hello.", "arguments --print", "prompt the question",
		"variables egress-placeholder literal", "hello from the outside",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q: %s", want, r)
		}
	}
	h.settled()
	all := u.seen()
	if len(all) == 0 {
		t.Fatal("the upstream saw nothing")
	}
	for _, s := range all {
		if got := s.Header["X-Mine-Key"]; len(got) != 1 || got[0] != value {
			t.Errorf("the upstream got %q", got)
		}
	}
	bottle := containerOf(t, agent, false)
	if found, _ := search(t, bottle, value); len(found[0]) > 0 {
		t.Errorf("the bottle holds the value: %v", found)
	}
	absentBelow(t, h.dir, value)
	if n := strings.Count(h.must("exec", agent, "--", "cat", "/home/node/.mine/verified").stdout, "\n"); n != 1 {
		t.Errorf("verified %d times", n)
	}

	// Files are of the fixed half: another content is another bottle.
	h.write(provider+"settings.txt", "of-another-file")
	h.must("plan").says(t, "-/+ "+agent, "files")
	h.must("apply", "-y")
	if r := h.must("run", agent, "-p", "again"); !strings.Contains(r.stdout, "settings of-another-file") {
		t.Error(r)
	}
	h.settled()
}
