package e2e_test

import (
	"encoding/json"
	"testing"
)

// TestPlanTellsTheTruth follows one bottle through its life: what plan says
// before apply is what apply does, and afterwards there is nothing to do.
func TestPlanTellsTheTruth(t *testing.T) {
	u := newUpstream(t, "allowed.test", "second.test")
	h := newHome(t)
	bottle := func(env, routes string) {
		h.bottle("open", "agent_provider: {template: shell}\nenv: {"+env+"}\negress:\n"+u.egress()+"  routes:\n"+routes)
	}
	bottle("COLOR: red", u.route("allowed.test", ""))
	agent := h.agent("worker", "open", "Work.")

	r := h.run("plan", "--detailed-exitcode")
	if r.code != 2 {
		t.Fatalf("want exit 2 while a bottle is missing: %s", r)
	}
	r.says(t, "+ "+agent, "allowed.test:443", "COLOR", "Plan: 1 to create")
	h.must("plan") // without the flag changes are no failure
	h.must("apply", "-y")
	h.settled()

	bottle("COLOR: red", u.route("allowed.test", "")+u.route("second.test", ""))
	r = h.run("plan", "--detailed-exitcode")
	if r.code != 2 {
		t.Errorf("want exit 2 for a changed route: %s", r)
	}
	r.says(t, agent, "second.test:443")
	if h.run("exec", agent, "--", "curl", "-sSf", "https://second.test/early").code == 0 {
		t.Error("a plan changed the world")
	}
	h.must("apply", "-y")
	h.settled()
	h.must("exec", agent, "--", "curl", "-sSf", "https://second.test/now")

	bottle("COLOR: green", u.route("allowed.test", "")+u.route("second.test", ""))
	r = h.run("plan", "--detailed-exitcode")
	if r.code != 2 {
		t.Errorf("want exit 2 for a changed environment: %s", r)
	}
	r.says(t, "env.COLOR")
	var p struct {
		FormatVersion string `json:"format_version"`
		Changes       []struct {
			ID, Backend      string
			Actions, Reasons []string
		}
	}
	if err := json.Unmarshal([]byte(h.must("plan", "--json").stdout), &p); err != nil {
		t.Fatal(err)
	}
	if p.FormatVersion != "1" || len(p.Changes) != 1 || len(p.Changes[0].Actions) != 2 {
		t.Errorf("want one replacement in JSON: %+v", p)
	}
	h.must("apply", "-y")
	h.settled()
	h.must("exec", agent, "--", "printenv", "COLOR").says(t, "green")

	// Narrowing takes effect too.
	bottle("COLOR: green", u.route("second.test", ""))
	h.must("apply", "-y")
	if r := h.run("exec", agent, "--", "curl", "-sSf", "https://allowed.test/late"); r.code == 0 {
		t.Errorf("a removed route still works: %s", r)
	}
	h.settled()
}

// TestStreamsArriveUnbuffered reads server-sent events through a bottle.
func TestStreamsArriveUnbuffered(t *testing.T) {
	u := newUpstream(t, "allowed.test")
	h := newHome(t)
	h.bottle("open", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+u.route("allowed.test", ""))
	agent := h.agent("reader", "open", "")
	h.must("apply", "-y")
	// The first event has to come long before the last one is sent.
	r := h.run("exec", agent, "--", "curl", "-sSN", "--max-time", "2", "https://allowed.test/stream?seconds=60")
	const timeout = 28
	if r.code != timeout {
		t.Errorf("want curl to run into its own limit: %s", r)
	}
	r.says(t, "event: tick", `{"n":5}`)
}
