package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends/fake"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/host"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

const relayPatience = 20 * time.Second

// lending is a bottle whose remote's key lies with a real ssh-agent, and the
// real sidecar of it, as a process.
type lending struct {
	p       *planning
	node    plan.Node
	secrets spec.Secrets
	path    string // of the relay's file
	states  *lines
}

// lines are what a process wrote.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// says waits for the last state line to say word of the agent.
func (l *lines) says(t *testing.T, word string) {
	t.Helper()
	var text string
	for end := time.Now().Add(relayPatience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		l.mu.Lock()
		text = strings.TrimSpace(l.buf.String())
		l.mu.Unlock()
		var last egress.StateLine
		if json.Unmarshal([]byte(text[strings.LastIndex(text, "\n")+1:]), &last) == nil && last.Agent == word {
			return
		}
	}
	t.Fatalf("the sidecar does not say %q: %s", word, text)
}

func shell(t *testing.T, env []string, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s (openssh-client is needed)", argv, err, out)
	}
}

// background runs a program until the test ends, or it is killed.
func background(t *testing.T, stdout *lines, env []string, argv ...string) *os.Process {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process
}

func exists(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(relayPatience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s does not come", path)
}

func lend(t *testing.T) *lending {
	t.Helper()
	dir, err := os.MkdirTemp("", "bbr") //nolint:usetesting // sockets need short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("BB_TEST_EXPORTED", "none of the relay's business")
	t.Setenv("SSH_AUTH_SOCK", filepath.Join(dir, "agent"))
	background(t, &lines{}, nil, "ssh-agent", "-D", "-a", filepath.Join(dir, "agent"))
	exists(t, filepath.Join(dir, "agent"))
	key, ask := filepath.Join(dir, "id"), filepath.Join(dir, "ask")
	shell(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-C", "", "-f", key)
	if err := os.WriteFile(ask, []byte("#!/bin/sh\necho 'a passphrase'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	shell(t, []string{"SSH_ASKPASS=" + ask, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0"}, "ssh-add", "-q", key)
	value, err := host.Key(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}

	home := filepath.Join(dir, "home")
	st, err := state.Open(home)
	if err != nil {
		t.Fatal(err)
	}
	s := &spec.Spec{ID: spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"}, Backend: "fake"}
	s.Live.Tokens = map[string]string{"GIT_CREDENTIAL_0": "key:" + key}
	s.Live.Remotes = []egress.Remote{{
		Name: "origin", Upstream: "ssh://git@git.example.com/a/b.git", HostKey: "ssh-ed25519 AAAA", Slot: "GIT_CREDENTIAL_0",
	}}
	world := filepath.Join(dir, "world.json")
	t.Setenv("BB_FAKE_WORLD", world)
	d := fake.New(fake.Options{Path: world, Owner: st.Owner, Key: st.Key, Version: Version})
	if err := d.CreateSidecar(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(dir, "run", "c.sock")
	putControl(t, world, control)

	l := &lending{
		p: &planning{
			compiled: &compiled{state: st}, app: &app{g: &grammar{Home: home}},
			plan: &plan.Plan{Changes: []plan.Change{{ID: s.ID, Action: plan.Create, Spec: s}}},
		},
		node:    plan.Node{Op: plan.OpConfigure, Backend: "fake", Instance: s.ID, Spec: s},
		secrets: spec.Secrets{Tokens: map[string]string{"GIT_CREDENTIAL_0": value}},
		path:    relayFile(st.Dir, s.ID), states: &lines{},
	}
	t.Cleanup(func() { _ = endRelay(context.Background(), l.path) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	background(t, l.states, nil, self, "sidecar", "run", "--door", filepath.Join(dir, "door", "d.sock"), "--control", control, "--ca", filepath.Join(dir, "ca"))
	exists(t, control)
	document := fmt.Sprintf(`{"bb":1,"instance":%q,"live":{"egress":"v1:aa"},"routes":[],"tokens":{"GIT_CREDENTIAL_0":{"value":%q,"digest":"d0"}}}`, s.ID.Name(), value)
	ctl := exec.Command(self, "sidecar", "ctl", "apply", "--control", control)
	ctl.Stdin = strings.NewReader(document)
	if out, err := ctl.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l.states.says(t, egress.AgentGone)
	return l
}

// putControl names the real sidecar's socket in the fake world.
func putControl(t *testing.T, world, socket string) {
	t.Helper()
	b, err := os.ReadFile(world)
	if err != nil {
		t.Fatal(err)
	}
	var w map[string]any
	if err := json.Unmarshal(b, &w); err != nil {
		t.Fatal(err)
	}
	for _, c := range w["containers"].(map[string]any) {
		c.(map[string]any)["control"] = socket
	}
	if b, err = json.Marshal(w); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(world, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// apply is what an apply does of it, for the given change.
func (l *lending) apply(t *testing.T, action plan.Action, reasons ...plan.Reason) int {
	t.Helper()
	l.p.plan.Changes[0].Action, l.p.plan.Changes[0].Reasons = action, reasons
	l.p.relays.begun = nil
	if err := l.p.lend(t.Context(), l.node, l.secrets); err != nil {
		t.Fatal(err)
	}
	l.states.says(t, egress.AgentConnected)
	return l.pid(t)
}

func (l *lending) pid(t *testing.T) int {
	t.Helper()
	pid, _, err := relayHeld(l.path)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestRelayLivesBesideItsSidecar(t *testing.T) {
	l := lend(t)
	first := l.apply(t, plan.Create, plan.NotFound)
	if first == 0 || first == os.Getpid() {
		t.Fatalf("the relay is process %d", first)
	}
	if again := l.apply(t, plan.Update, plan.EgressChanged); again != first {
		t.Errorf("a sound relay was replaced: %d by %d", first, again)
	}
	l.alone(t, first)
	second := l.apply(t, plan.Update, plan.SSHAgentGone)
	if second == first {
		t.Error("a relay that the sidecar does not see goes on")
	}
	if err := syscall.Kill(second, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	l.states.says(t, egress.AgentGone)
	if pid := l.pid(t); pid != 0 {
		t.Errorf("a killed relay holds its file: %d", pid)
	}
	l.apply(t, plan.Update, plan.EgressChanged)
	for _, file := range []string{l.path, l.path + ".log"} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	if err := forgetRelay(t.Context(), l.p.state.Dir, l.node.Instance); err != nil {
		t.Fatal(err)
	}
	l.states.says(t, egress.AgentGone)
	if left, _ := filepath.Glob(filepath.Join(l.p.state.Dir, "relay-*")); l.pid(t) != 0 || len(left) > 0 {
		t.Errorf("left behind: process %d, %v", l.pid(t), left)
	}
}

// alone wants the relay to hold nothing of the terminal it was begun in.
func (l *lending) alone(t *testing.T, pid int) {
	t.Helper()
	if sid, err := syscall.Getpgid(pid); err != nil || sid != pid {
		t.Errorf("its process group is %d, %v", sid, err)
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if os.IsNotExist(err) {
		return // not linux
	}
	if strings.Contains(string(env), "BB_TEST_EXPORTED") || !strings.Contains(string(env), "SSH_AUTH_SOCK=") {
		t.Errorf("its environment: %q", env)
	}
	for fd := range 3 {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd)); err != nil || to != os.DevNull {
			t.Errorf("descriptor %d is %s, %v", fd, to, err)
		}
	}
}

func TestOfTwoRelaysOneServes(t *testing.T) {
	l := lend(t)
	lent, err := lentKeys(l.node.Spec, l.secrets)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	for range cap(results) {
		go func() {
			results <- startRelay(t.Context(), l.p.app.g.Home, relayConfig{Instance: l.node.Instance, Backend: "fake", Lent: lent})
		}()
	}
	var failed []string
	for range cap(results) {
		if err := <-results; err != nil {
			failed = append(failed, err.Error())
		}
	}
	if len(failed) != 1 || !strings.Contains(failed[0], "another relay holds") {
		t.Errorf("errors %q, want one", failed)
	}
	l.states.says(t, egress.AgentConnected)
}

func TestRelayThatCannotBegin(t *testing.T) {
	l := lend(t)
	putControl(t, os.Getenv("BB_FAKE_WORLD"), "")
	err := l.p.lend(t.Context(), l.node, l.secrets)
	if err == nil || !strings.Contains(err.Error(), "dev: its sidecar cannot ask your ssh-agent: the in-memory backend has no sidecar") {
		t.Errorf("%v", err)
	}
	if pid := l.pid(t); pid != 0 {
		t.Errorf("process %d stays", pid)
	}
	l.secrets.Tokens["GIT_CREDENTIAL_0"] = "a token, not a key"
	if err := l.p.lend(t.Context(), l.node, l.secrets); err != nil {
		t.Errorf("a bottle without a key of the agent: %v", err)
	}
	if _, err := os.Stat(l.path); !os.IsNotExist(err) {
		t.Errorf("its file stays: %v", err)
	}
}
