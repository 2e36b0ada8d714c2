package e2e_test

import (
	"slices"
	"strings"
	"testing"
)

// TestForeignResourcesSurvive puts containers, volumes and networks of similar
// names beside a bottle. Destroy touches none of them, and says so.
func TestForeignResourcesSurvive(t *testing.T) {
	h := newHome(t)
	h.bottle("closed", "agent_provider: {template: shell}")
	agent := h.agent("worker", "closed", "")
	h.must("apply", "-y")
	own := containerOf(t, agent, false)

	// An image committed from a bottle carries its labels along.
	committed := strings.ToLower("committed-" + h.id)
	docker(t, "commit", own, committed)
	t.Cleanup(func() { command("docker", "rmi", "-f", committed) }) //nolint:errcheck // only to clean up
	scope := own[strings.LastIndex(own, "-")+1:]

	foreign := []string{
		"bb-" + agent + "-000000",            // another home's, by its name
		"bb-" + agent + "_2-" + scope,        // a replica nobody declared
		"bb-gone" + h.id + "-" + scope,       // an agent that is not declared
		own + "_x",                           // ours with something behind
		"bb-" + agent + "-" + scope + "_old", // what somebody renamed
	}
	for n, name := range foreign {
		image := []string{probeImage, "sleep"}
		if n%2 == 1 {
			image = []string{"--entrypoint", "/bin/sleep", committed, "1d"}
		}
		container(t, name, image...)
	}
	volume, net := "bb-"+agent+"-000000_door", "bb-egress-"+h.id
	docker(t, "volume", "create", volume)
	t.Cleanup(func() { command("docker", "volume", "rm", volume) }) //nolint:errcheck // only to clean up
	network(t, net)

	h.settled()
	r := h.must("destroy", "-y")
	r.says(t, "bb-gone"+h.id+"-"+scope)
	left := resources(t, h.id)
	for _, name := range foreign {
		if !slices.Contains(left, "container "+name) {
			t.Errorf("destroy removed container %s", name)
		}
	}
	for _, name := range []string{"volume " + volume, "network " + net} {
		if !slices.Contains(left, name) {
			t.Errorf("destroy removed %s", name)
		}
	}
	if want := len(foreign) + 2; len(left) != want {
		t.Errorf("want only the %d foreign resources left: %v", want, left)
	}
}

// TestNameTakenByAnother asserts that a bottle whose name is taken is blocked
// with a reason, that others are not, and that an apply repairs it later.
func TestNameTakenByAnother(t *testing.T) {
	h := newHome(t)
	h.bottle("closed", "agent_provider: {template: shell}")
	agent, other := h.agent("worker", "closed", ""), h.agent("other", "closed", "")
	h.must("apply", "-y")
	name := containerOf(t, agent, false)
	h.must("destroy", "-y")

	container(t, name, probeImage, "sleep")
	id := containerID(t, name)
	h.must("plan").says(t, name)
	h.fails("apply", "-y").says(t, name)
	if containerID(t, name) != id {
		t.Error("the foreign container was replaced")
	}
	h.must("apply", "-y", other)
	docker(t, "rm", "-f", name)
	h.must("apply", "-y")
	h.settled()
}
