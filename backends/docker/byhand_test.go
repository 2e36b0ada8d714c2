package docker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// observed is s as Observe sees it; a bottle of which nothing is left is zero.
func observed(t *testing.T, d *Driver, s *spec.Spec) (plan.Instance, plan.World) {
	t.Helper()
	w, err := d.Observe(t.Context(), plan.Query{Owner: d.opts.Owner, Scopes: []string{s.ID.Scope}, Specs: []*spec.Spec{s}})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range w.Instances {
		if i.ID == s.ID {
			return i, w
		}
	}
	return plan.Instance{}, w
}

// state is what an observer says of both parts, in one word where all is well.
func state(o plan.Instance) []string {
	say := func(role string, p *plan.Part) []string {
		switch {
		case p == nil:
			return []string{role + ": absent"}
		case len(p.Altered) > 0:
			var out []string
			for _, a := range p.Altered {
				out = append(out, role+": "+a)
			}
			return out
		case !p.Running:
			return []string{role + ": stopped"}
		}
		return nil
	}
	out := append(say("agent", o.Agent), say("sidecar", o.Sidecar)...)
	if o.Sidecar != nil && o.Sidecar.Running && (o.State == nil || o.State.State != egress.StateConfigured) {
		out = append(out, "sidecar: unconfigured")
	}
	return out
}

// repair does what a plan does for what was observed: an altered agent is
// removed first, everything else is made as it should be.
func repair(t *testing.T, d *Driver, s *spec.Spec, o plan.Instance) {
	t.Helper()
	if o.Agent != nil && len(o.Agent.Altered) > 0 {
		if err := d.RemoveAgent(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	bringUp(t, d, s)
}

// works looks at the bottle from inside: it has no way out but its door, and
// its sidecar answers there.
func works(t *testing.T, d *Driver, s *spec.Spec) {
	t.Helper()
	out, code := sh(t, d, s, "ls /sys/class/net; /bb/bin/bb door probe && echo door; echo $PLAIN; grep -c BEGIN "+spec.CAFile)
	if want := "lo\ndoor\nplain value\n1\n"; code != 0 || !strings.HasSuffix(out, "door\nplain value\n1\n") || !strings.HasPrefix(out, "lo\n") {
		t.Errorf("inside: code %d, %q, want %q", code, out, want)
	}
	trusted, err := d.readFile(t.Context(), s.ID.Name(), spec.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if authority, err := d.authority(t.Context(), s, s.ID.Sidecar()); err != nil || string(authority) != string(trusted) {
		t.Errorf("the agent trusts another authority than its sidecar's: %v", err)
	}
}

// hands does to a bottle what people do.
type hands struct {
	t       *testing.T
	c       *client.Client
	s       *spec.Spec
	network string // the sidecar's own
	other   string
}

func (h hands) do(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h hands) makeNetwork(name string) {
	h.t.Helper()
	_, err := h.c.NetworkCreate(h.t.Context(), name, network.CreateOptions{Driver: "bridge"})
	h.do(err)
	// Containers of the test go later than this: one that is on it keeps it.
	h.t.Cleanup(func() {
		ctx := backgroundOf(h.t)
		if seen, err := h.c.NetworkInspect(ctx, name, network.InspectOptions{}); err == nil {
			for id := range seen.Containers {
				_ = h.c.NetworkDisconnect(ctx, name, id, true)
			}
		}
		if err := h.c.NetworkRemove(ctx, name); err != nil && !errdefs.IsNotFound(err) { // a test makes one twice
			h.t.Errorf("network %s stays behind: %v", name, err)
		}
	})
}

func (h hands) connect(net, name string) {
	h.do(h.c.NetworkConnect(h.t.Context(), net, name, nil))
}

func (h hands) disconnect(net, name string) {
	h.do(h.c.NetworkDisconnect(h.t.Context(), net, name, true))
}

// again makes a container anew under its own name, with its labels, as tools
// do that update images or add a mount.
func (h hands) again(name string, edit func(*container.Config, *container.HostConfig)) {
	h.t.Helper()
	old, err := h.c.ContainerInspect(h.t.Context(), name)
	h.do(err)
	edit(old.Config, old.HostConfig)
	h.remove(name)
	made, err := h.c.ContainerCreate(h.t.Context(), old.Config, old.HostConfig, nil, nil, name)
	h.do(err)
	h.do(h.c.ContainerStart(h.t.Context(), made.ID, container.StartOptions{}))
}

func (h hands) remove(name string) {
	h.do(h.c.ContainerRemove(h.t.Context(), name, container.RemoveOptions{Force: true}))
}

func (h hands) stop(name string) {
	now := 0
	h.do(h.c.ContainerStop(h.t.Context(), name, container.StopOptions{Timeout: &now}))
}

// commit makes an image of a container, which carries its labels along.
func (h hands) commit(name, tag string) {
	_, err := h.c.ContainerCommit(h.t.Context(), name, container.CommitOptions{Reference: tag})
	h.do(err)
	h.t.Cleanup(func() {
		_, _ = h.c.ImageRemove(backgroundOf(h.t), tag, image.RemoveOptions{PruneChildren: true})
	})
}

// TestByHand alters one real bottle in every way that an engine allows, one
// after the other. Each is reported, and repaired by a driver's own methods;
// what was not altered is left alone.
func TestByHand(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	suffix := randomHex(t, 4)
	h := hands{t: t, c: raw(t), s: s, network: "bbtest-own-" + suffix, other: "bbtest-other-" + suffix}
	h.makeNetwork(h.network)
	h.makeNetwork(h.other)
	s.Gate.Network = h.network
	s.Image.Name = "bbtest-hand-" + suffix // a tag that no other test has
	bringUp(t, d, s)
	o, w := observed(t, d, s)
	if got := state(o); got != nil {
		t.Fatalf("as bb made it: %v", got)
	}
	agent, sidecar, tag, gate := s.ID.Name(), s.ID.Sidecar(), w.Images[s.ID.Name()].Ref, w.SidecarImage
	ctx := t.Context()
	altered := "agent: it is on network " + h.other
	for _, tt := range []struct {
		what string
		act  func()
		want []string
		// undo is what only the hand that did it can.
		undo func()
		// kept: the tag is built again, and what runs was bb's all the time.
		kept bool
	}{
		{what: "nothing", act: func() {}},
		{what: "connect the agent", act: func() {
			h.disconnect("none", agent)
			h.connect(h.other, agent)
		}, want: []string{altered}},
		{what: "connect the agent, then stop it", act: func() {
			h.disconnect("none", agent)
			h.connect(h.other, agent)
			h.stop(agent)
		}, want: []string{altered}},
		{what: "stop the agent", act: func() { h.stop(agent) }, want: []string{"agent: stopped"}},
		{what: "kill the agent", act: func() { h.do(h.c.ContainerKill(ctx, agent, "KILL")) }, want: []string{"agent: stopped"}},
		{what: "pause the agent", act: func() { h.do(h.c.ContainerPause(ctx, agent)) }, want: []string{"agent: stopped"}},
		{what: "remove the agent", act: func() { h.remove(agent) }, want: []string{"agent: absent"}},
		{what: "an agent of a committed image", act: func() {
			h.commit(agent, "bbtest-committed:"+suffix)
			h.again(agent, func(c *container.Config, _ *container.HostConfig) { c.Image = "bbtest-committed:" + suffix })
		}, want: []string{"agent: it was made of image bbtest-committed:" + suffix + ", not of " + tag}},
		{what: "an agent of a committed image, by id", act: func() {
			made, err := h.c.ContainerCommit(ctx, agent, container.CommitOptions{})
			h.do(err)
			t.Cleanup(func() { _, _ = h.c.ImageRemove(backgroundOf(t), made.ID, image.RemoveOptions{Force: true}) })
			h.again(agent, func(c *container.Config, _ *container.HostConfig) { c.Image = made.ID })
		}, want: []string{"agent: it was made of another image than " + tag}},
		{what: "an agent with the host's network", act: func() {
			h.again(agent, func(c *container.Config, host *container.HostConfig) {
				host.NetworkMode, c.Hostname, host.Sysctls = "host", "", nil
			})
		}, want: []string{"agent: it is on network host"}},
		{what: "an agent with a directory of the host", act: func() {
			h.again(agent, func(_ *container.Config, host *container.HostConfig) { host.Binds = []string{"/srv:/srv"} })
		}, want: []string{"agent: /srv of the host is mounted at /srv"}},
		{what: "an agent with another first process", act: func() {
			h.again(agent, func(c *container.Config, _ *container.HostConfig) {
				c.Entrypoint, c.Cmd = []string{"sleep"}, []string{"100"}
			})
		}, want: []string{`agent: its first process is "sleep 100", not bb's`}},
		{what: "another image under the tag of the agent's", act: func() {
			h.do(h.c.ImageTag(ctx, DefaultBaseImage, tag))
		}, want: []string{"agent: " + tag + " names another image now"}},
		{what: "connect the sidecar", act: func() { h.connect(h.other, sidecar) }, want: []string{"sidecar: it is on network " + h.other}},
		{what: "disconnect the sidecar", act: func() { h.disconnect(h.network, sidecar) }, want: []string{"sidecar: it is not on network " + h.network}},
		{what: "stop the sidecar", act: func() { h.stop(sidecar) }, want: []string{"sidecar: stopped"}},
		{what: "pause the sidecar", act: func() { h.do(h.c.ContainerPause(ctx, sidecar)) }, want: []string{"sidecar: it is paused"}},
		{what: "remove the sidecar", act: func() { h.remove(sidecar) }, want: []string{"sidecar: absent"}},
		{what: "remove the sidecar and its authority", act: func() {
			h.remove(sidecar)
			h.do(h.c.VolumeRemove(ctx, s.ID.CAVolume(), true))
		}, want: []string{"agent: its volume " + s.ID.CAVolume() + " is gone", "sidecar: absent"}},
		{what: "restart the sidecar", act: func() {
			now := 0
			h.do(h.c.ContainerRestart(ctx, sidecar, container.StopOptions{Timeout: &now}))
			for range 100 { // until it has spoken again
				if l, err := d.lastState(ctx, sidecar, sidecar); err == nil && l != nil && l.State == egress.StateUnconfigured {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
		}, want: []string{"sidecar: unconfigured"}},
		{what: "remove its network and make it again", act: func() {
			h.disconnect(h.network, sidecar)
			h.do(h.c.NetworkRemove(ctx, h.network))
			h.makeNetwork(h.network)
		}, want: []string{"sidecar: its network " + h.network + " was removed and made again"}},
		{what: "the same, and connect it", act: func() {
			h.disconnect(h.network, sidecar)
			h.do(h.c.NetworkRemove(ctx, h.network))
			h.makeNetwork(h.network)
			h.connect(h.network, sidecar)
		}, want: []string{"sidecar: its network " + h.network + " was removed and made again"}},
		{what: "remove its network", act: func() {
			h.disconnect(h.network, sidecar)
			h.do(h.c.NetworkRemove(ctx, h.network))
		}, want: []string{"sidecar: its network " + h.network + " is gone"}, undo: func() {
			if err := d.CreateSidecar(ctx, s); err == nil || !strings.Contains(err.Error(), "network "+h.network+" does not exist") {
				t.Errorf("a sidecar without a network: %v", err)
			}
			h.makeNetwork(h.network)
		}},
		{what: "another image under the tag of sidecars", act: func() {
			h.do(h.c.ImageTag(ctx, DefaultBaseImage, gate))
		}, want: []string{"sidecar: " + gate + " names another image now"}, kept: true},
	} {
		before, _ := observed(t, d, s)
		tt.act()
		seen, _ := observed(t, d, s)
		if diff := cmp.Diff(tt.want, state(seen)); diff != "" {
			t.Errorf("%s: observed (-want +got):\n%s", tt.what, diff)
		}
		if tt.undo != nil {
			tt.undo()
		}
		repair(t, d, s, seen)
		after, _ := observed(t, d, s)
		if got := state(after); got != nil {
			t.Fatalf("%s: after the repair: %v", tt.what, got)
		}
		works(t, d, s)
		if t.Failed() {
			return // what follows would only repeat it
		}
		hit := func(role string) bool {
			return slices.ContainsFunc(tt.want, func(w string) bool {
				return strings.HasPrefix(w, role+": ") && !strings.HasSuffix(w, ": stopped") && !strings.HasSuffix(w, "unconfigured")
			})
		}
		if same := before.Agent.Ref == after.Agent.Ref; same == hit("agent") {
			t.Errorf("%s: agent kept: %v", tt.what, same)
		}
		if same := before.Sidecar.Ref == after.Sidecar.Ref; same == (hit("sidecar") && !tt.kept) {
			t.Errorf("%s: sidecar kept: %v", tt.what, same)
		}
	}
}

// TestRenamedByHand: the name is free again and the bottle is made anew; what
// was renamed carries our labels, is reported, and stays.
func TestRenamedByHand(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	c := raw(t)
	for _, name := range []string{s.ID.Name(), s.ID.Sidecar()} {
		if err := c.ContainerRename(t.Context(), name, "renamed-"+name); err != nil {
			t.Fatal(err)
		}
	}
	o, w := observed(t, d, s)
	want := []plan.Foreign{
		{Kind: "container", Name: "renamed-" + s.ID.Name(), Labels: s.ID.Name()},
		{Kind: "container", Name: "renamed-" + s.ID.Sidecar(), Labels: s.ID.Sidecar()},
	}
	if diff := cmp.Diff(want, w.Foreign); diff != "" {
		t.Errorf("foreign (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"agent: absent", "sidecar: absent"}, state(o)); diff != "" {
		t.Error(diff)
	}
	// A running sidecar keeps the door, under whatever name.
	err := d.CreateSidecar(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "container renamed-"+s.ID.Sidecar()+" keeps the door of dev (") {
		t.Errorf("the door of a renamed sidecar: %v", err)
	}
	for _, f := range want {
		if x, err := c.ContainerInspect(t.Context(), f.Name); err != nil || !x.State.Running {
			t.Errorf("%s did not survive: %v", f.Name, err)
		}
	}
	if err := c.ContainerRemove(t.Context(), want[1].Name, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	o, _ = observed(t, d, s)
	repair(t, d, s, o)
	if o, _ = observed(t, d, s); state(o) != nil {
		t.Errorf("after the repair: %v", state(o))
	}
	works(t, d, s)
	if x, err := c.ContainerInspect(t.Context(), want[0].Name); err != nil || !x.State.Running {
		t.Errorf("%s did not survive: %v", want[0].Name, err)
	}
}

// TestKeepAgent: an altered agent that never ran is in the way, one that ran
// is somebody's work, which a plan removes and nothing else.
func TestKeepAgent(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	h := hands{t: t, c: raw(t), s: s, other: "bbtest-other-" + randomHex(t, 4)}
	h.makeNetwork(h.other)
	bringUp(t, d, s)
	name := s.ID.Name()
	old, err := h.c.ContainerInspect(t.Context(), name)
	h.do(err)
	h.remove(name)
	old.HostConfig.NetworkMode, old.Config.Hostname = container.NetworkMode(h.other), ""
	made, err := h.c.ContainerCreate(t.Context(), old.Config, old.HostConfig, nil, nil, name)
	h.do(err)
	o, _ := observed(t, d, s)
	if diff := cmp.Diff([]string{"agent: it is on network " + h.other}, state(o)); diff != "" {
		t.Error(diff)
	}
	if err := d.CreateAgent(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if x, err := h.c.ContainerInspect(t.Context(), name); err != nil || x.ID == made.ID || x.HostConfig.NetworkMode != "none" {
		t.Errorf("an altered agent that never ran was kept: %v", err)
	}
	if err := d.StartAgent(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	h.disconnect("none", name)
	h.connect(h.other, name)
	err = d.CreateAgent(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "was altered: it is on network "+h.other+" ('bb apply' replaces it)") {
		t.Errorf("an altered agent that runs: %v", err)
	}
}
