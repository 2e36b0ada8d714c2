package e2e_test

import (
	"context"
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"
)

// decision is one line of the access log.
type decision struct {
	Time                               time.Time
	Instance, Host, Path, Method, Rule string
	Verdict, Reason                    string
	Port, Status                       int
	Sent, Received                     int64
	Millis                             float64 `json:"ms"`
}

func decisions(t testing.TB, text string) (all []decision) {
	t.Helper()
	for line := range strings.Lines(text) {
		var d decision
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, d)
	}
	return all
}

// TestAccessLog reads what a bottle's sidecar decided: while it runs, as it
// comes, and after the sidecar was killed.
func TestAccessLog(t *testing.T) {
	u := newUpstream(t, "allowed.test")
	h := newHome(t)
	value := "token-" + random(16)
	h.env = []string{"E2E_TOKEN=" + value}
	h.bottle("open", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+
		u.route("allowed.test", "auth: {scheme: Bearer, token_ref: E2E_TOKEN}"))
	agent := h.agent("worker", "open", "")
	h.must("apply", "-y")
	bottle, sidecar := containerOf(t, agent, false), containerOf(t, agent, true)

	fetch := func(url string) { h.run("exec", agent, "--", "curl", "-sS", "--max-time", "5", "-d", "body", url) }
	fetch("https://allowed.test/path?query=hidden-from-logs")
	fetch("https://denied.test/other")
	fetch("https://allowed.test/with-" + value)
	var seen []decision
	eventually(t, "three decisions are in the log", func() bool {
		seen = decisions(t, h.must("logs", agent, "--egress", "--json").stdout)
		return len(seen) >= 3
	})
	allowed, denied := seen[0], seen[1]
	if time.Since(allowed.Time) > time.Minute || allowed.Millis <= 0 || allowed.Rule == "" || allowed.Received == 0 {
		t.Errorf("allowed: %+v", allowed)
	}
	allowed.Time, allowed.Millis, allowed.Rule, allowed.Received = time.Time{}, 0, "", 0
	if want := (decision{
		Instance: bottle, Host: "allowed.test", Port: 443, Path: "/path", Method: "POST",
		Verdict: "allowed", Status: 200, Sent: 4,
	}); allowed != want {
		t.Errorf("allowed: %+v, want %+v", allowed, want)
	}
	if denied.Host != "denied.test" || denied.Verdict != "denied" || denied.Status != 403 || denied.Reason == "" {
		t.Errorf("denied: %+v", denied)
	}
	r := h.must("logs", agent, "--egress", "--denied")
	if r.says(t, "denied.test"); strings.Contains(r.stdout, "allowed.test/path") {
		t.Errorf("not denied: %s", r)
	}
	if all := h.must("logs", agent, "--egress", "--json").stdout; strings.Contains(all, value) || strings.Contains(all, "hidden-from-logs") ||
		!strings.Contains(all, `"path":"/with-****`) || !strings.Contains(all, `"detector":"known value"`) {
		t.Errorf("the token or a query is in the log, or was never near it:\n%s", all)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	follow, live, said := h.command(ctx, "logs", agent, "--egress", "--json", "-f", "--tail", "1"), &buffer{}, &buffer{}
	follow.Stdout, follow.Stderr = live, said
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "following has caught up", func() bool { return strings.Contains(live.String(), "with-") })
	fetch("https://denied.test/live")
	begin := time.Now()
	eventually(t, "the new decision", func() bool {
		return strings.Contains(live.String(), "/live") || strings.Count(live.String(), "denied.test") > 0
	})
	if took := time.Since(begin); took > time.Second {
		t.Errorf("following takes %v", took)
	}

	docker(t, "kill", "-s", "KILL", sidecar)
	eventually(t, "bb says that the sidecar is lost", func() bool { return strings.Contains(said.String(), "does not answer") })
	h.must("apply", "-y")
	fetch("https://allowed.test/after")
	eventually(t, "following goes on", func() bool { return strings.Contains(live.String(), "/after") })
	if n := strings.Count(live.String(), "with-"); n != 1 {
		t.Errorf("%d lines were shown twice: %s", n, live.String())
	}
	kept := decisions(t, h.must("logs", agent, "--egress", "--json").stdout)
	if len(kept) < 5 || kept[0] != seen[0] || kept[1] != seen[1] {
		t.Errorf("after the kill: %+v", kept)
	}
	if err := follow.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = follow.Wait()
	if code := follow.ProcessState.ExitCode(); code != 130 {
		t.Errorf("an interrupt ends with %d: %s", code, said.String())
	}

	// A bb that is killed leaves no reader: the sidecar takes four.
	for range 6 {
		again := h.command(ctx, "logs", agent, "--egress", "-f")
		out := &buffer{}
		again.Stdout, again.Stderr = out, out
		if err := again.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it follows", func() bool { return strings.Contains(out.String(), "allowed.test/path") })
		_ = again.Process.Kill()
		_ = again.Wait()
	}
	eventually(t, "no reader is left in the sidecar", func() bool {
		return !strings.Contains(docker(t, "top", sidecar, "-o", "pid,args"), "sidecar ctl")
	})

	// The log is the sidecar's own.
	for _, p := range []string{"/var/lib/bb/ca", "/run/bb/door/log"} {
		if r := h.run("exec", agent, "--", "ls", p); r.code == 0 {
			t.Errorf("the bottle sees %s: %s", p, r)
		}
	}
	if modes := docker(t, "exec", sidecar, "stat", "-c", "%a %U", "/var/lib/bb/ca/log"); !strings.HasPrefix(modes, "700 ") {
		t.Errorf("the directory is %s", modes)
	}
	files := docker(t, "exec", sidecar, "sh", "-c", "stat -c '%a %s' /var/lib/bb/ca/log/*")
	for line := range strings.Lines(files) {
		if !strings.HasPrefix(line, "600 ") {
			t.Errorf("a file is %s", line)
		}
	}
}
