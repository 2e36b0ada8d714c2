package docker

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

const testHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

// withRemote gives a spec a remote whose key the host's ssh-agent has.
func withRemote(d *Driver, s *spec.Spec) spec.Secrets {
	s.Live.Remotes = []egress.Remote{{
		Name: "origin", Upstream: "ssh://git@192.0.2.1/a/b.git", HostKey: testHostKey, Slot: egress.SlotGit + "0",
	}}
	s.Live.Tokens[egress.SlotGit+"0"] = "key:~/.ssh/id"
	secrets := newSecrets(d, s)
	secrets.Tokens[egress.SlotGit+"0"] = "ssh-agent " + testHostKey
	secrets.Digests[egress.SlotGit+"0"] = d.opts.Key.Digest(s.ID.Name(), "key:~/.ssh/id", "ssh-agent "+testHostKey)
	return secrets
}

// TestGitGateIsReached: git in a bottle that names the upstream comes to the
// sidecar, not by the proxy, and no further once the remote is gone. What the
// gate keeps is out of the agent's reach and dies with the bottle.
func TestGitGateIsReached(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUpWithGit(t, d, s)
	secrets := withRemote(d, s)
	ctx, parts := t.Context(), []string{spec.PartEgress, spec.PartGit}
	proxied := "export http_proxy=http://egress:9099 HTTP_PROXY=http://egress:9099 no_proxy=localhost,127.0.0.1,git-gate NO_PROXY=localhost,127.0.0.1,git-gate; "
	if err := d.Configure(ctx, s, secrets, parts[:1]); err != nil {
		t.Fatal(err)
	}
	if err := d.Provision(ctx, s, secrets, parts); err != nil {
		t.Fatal(err)
	}
	if err := d.Configure(ctx, s, secrets, parts); err != nil {
		t.Fatal(err)
	}
	for _, spelling := range []string{"ssh://git@192.0.2.1/a/b.git", "git@192.0.2.1:a/b.git"} {
		if out, _ := sh(t, d, s, "git ls-remote --get-url "+spelling); out != "http://git-gate:9420/origin.git\n" {
			t.Errorf("%s is %q for git", spelling, out)
		}
	}
	// A sidecar that comes back has no policy, and git reads who says so.
	now := 0
	if err := raw(t).ContainerStop(ctx, s.ID.Sidecar(), container.StopOptions{Timeout: &now}); err != nil {
		t.Fatal(err)
	}
	if err := d.StartSidecar(ctx, s); err != nil {
		t.Fatal(err)
	}
	out, code := sh(t, d, s, proxied+"git ls-remote git@192.0.2.1:a/b.git")
	if code == 0 || !strings.Contains(out, "remote: git gate: the sidecar of this bottle has no policy yet") {
		t.Errorf("exit %d: %s", code, out)
	}

	// From the bottle: neither the gate's directories nor its sockets.
	out, _ = sh(t, d, s, "ls -la /var/lib/bb/ca /run/bb/ctl /bb/door 2>&1; find / -xdev -path /proc -prune -o \\( -name '*.git' -o -name 'ctl.sock' \\) -print 2>/dev/null; cat /proc/net/unix | grep -c ctl.sock")
	if strings.Contains(out, "ca.key") || strings.Contains(out, "/ctl.sock") || !strings.HasSuffix(out, "\n0\n") {
		t.Errorf("the bottle sees %s", out)
	}
	res, err := d.command(ctx, s.ID.Sidecar(), command{
		argv: []string{"/bin/sh", "-c", "stat -c '%u %a' " + caDir + "/git " + controlDir + "/git && git --version && ssh -V && readlink /proc/self/exe"}, user: sidecarUser,
	})
	if err != nil || res.code != 0 || !strings.HasPrefix(res.stdout, "65532 700\n65532 700\ngit version ") {
		t.Errorf("in the sidecar: %v %d %s%s", err, res.code, res.stdout, res.stderr)
	}

	if err := d.Configure(ctx, s, secrets, parts); err != nil {
		t.Fatal(err)
	}
	logged := &strings.Builder{}
	if err := d.AccessLog(ctx, s.ID, egress.LogRequest{Log: egress.LogGit}, logged); err != nil || !strings.HasPrefix(logged.String(), `{"ok":true`) {
		t.Errorf("the log of pushes: %v %s", err, logged)
	}

	s.Live.Remotes = nil
	if err := d.Provision(ctx, s, secrets, parts); err != nil {
		t.Fatal(err)
	}
	if out, _ := sh(t, d, s, "git ls-remote --get-url git@192.0.2.1:a/b.git; git config --global --list 2>/dev/null"); out != "git@192.0.2.1:a/b.git\n" {
		t.Errorf("after the remote is gone: %q", out)
	}

	for _, remove := range []func() error{
		func() error { return d.RemoveAgent(ctx, s.ID) },
		func() error { return d.RemoveSidecar(ctx, s.ID) },
		func() error { return d.RemoveVolumes(ctx, s.ID) },
	} {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := raw(t).VolumeInspect(ctx, s.ID.CAVolume()); err == nil {
		t.Error("the mirrors' volume outlives the bottle")
	}
}
