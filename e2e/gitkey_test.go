package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestGitKeyOfTheAgent: a key with a passphrase never leaves the user's
// ssh-agent. bb has ended when the bottle's git has it sign.
func TestGitKeyOfTheAgent(t *testing.T) {
	f := newForge(t)
	repo := f.repository("app")
	dir, err := os.MkdirTemp("", "bbk") //nolint:usetesting // sockets need short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	repo.key = filepath.Join(dir, "id")
	if err := os.WriteFile(repo.key, []byte(f.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	openssh(t, nil, "ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", repo.key)
	h := newHome(t)
	h.env = []string{"SSH_AUTH_SOCK=" + filepath.Join(dir, "none")}
	agent := h.agent("coder", "dev", "")
	f.declare(h, "", repo)
	h.fails("apply", "-y").says(t, "ssh-add")

	h.env = []string{"SSH_AUTH_SOCK=" + filepath.Join(dir, "agent")}
	startAgent(t, dir)
	ask := filepath.Join(dir, "ask")
	if err := os.WriteFile(ask, []byte("#!/bin/sh\necho 'a passphrase'\n"), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	openssh(t, append(h.env, "SSH_ASKPASS="+ask, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0"), "ssh-add", "-q", repo.key)
	h.must("plan", agent).says(t, "origin -> "+f.Address())
	h.must("apply", "-y")
	h.settled()

	b := bottle{t, h, agent}
	b.must("git clone -q " + repo.url + " app && cd app && git switch -q -c agent/one && echo x > x && git add x && git commit -qm x && git push -q origin agent/one")
	if got, want := repo.Refs(t)["refs/heads/agent/one"], strings.TrimSpace(b.must("git -C app rev-parse HEAD")); got != want {
		t.Errorf("the upstream has %q, pushed was %s", got, want)
	}
	for _, c := range f.Commands() {
		if !strings.Contains(c, "agent=none") {
			t.Errorf("an agent was handed on to the upstream: %s", c)
		}
	}
	if got := b.must("ls -A /tmp ~ | grep -i -e ssh -e agent.sock; echo \"$SSH_AUTH_SOCK\""); strings.TrimSpace(got) != "" {
		t.Errorf("the bottle has of an ssh-agent: %s", got)
	}

	relays := relaysOf(t, agent)
	if len(relays) != 1 {
		t.Fatalf("relays: %v", relays)
	}
	if err := syscall.Kill(relays[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the plan shows the loss", func() bool { return strings.Contains(h.must("plan").all(), "ssh-agent") })
	if out := b.fails("git -C app fetch"); !strings.Contains(out, "ssh-agent") {
		t.Errorf("without a relay the agent reads: %s", out)
	}
	h.must("apply", "-y")
	h.settled()
	b.must("git -C app fetch -q")
	h.must("destroy", "-y")
	if left := relaysOf(t, agent); len(left) > 0 {
		t.Errorf("relays after destroy: %v", left)
	}
}

// startAgent runs an ssh-agent that listens on DIR/agent and ends with the test.
func startAgent(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("ssh-agent", "-D", "-a", filepath.Join(dir, "agent"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "the ssh-agent listens", func() bool {
		_, err := os.Stat(filepath.Join(dir, "agent"))
		return err == nil
	})
}

func openssh(t *testing.T, env []string, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s (openssh-client is needed)", argv, err, out)
	}
}

// relaysOf are the processes that sign for an agent's bottle.
func relaysOf(t *testing.T, agent string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no processes to look at: %v", err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if args := strings.Split(string(line), "\x00"); len(args) > 3 && args[1] == "relay" && args[2] == "agent" && strings.Contains(args[3], agent) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(fmt.Errorf("%s: %w", file, err))
			}
			pids = append(pids, pid)
		}
	}
	return pids
}
