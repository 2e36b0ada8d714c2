package docker

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/spec"
)

// TestBottle looks at one real bottle from inside and from the engine.
func TestBottle(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	s.ID.Replica = "2"
	bringUp(t, d, s)
	for line, want := range map[string]string{
		"cat /etc/resolv.conf":                       "nameserver 127.0.0.53\n",
		"getent hosts egress git-gate supervise dev": "127.0.0.1       egress\n127.0.0.1       git-gate\n127.0.0.1       supervise\n127.0.0.1       dev\n",
		"ls /sys/class/net":                          "lo\n",
		"id":                                         "uid=1000(node) gid=1000(node) groups=1000(node)\n",
		"echo $HOME $USER $PLAIN $HIDDEN; hostname":               "/home/node node plain value hidden-env-value\ndev\n",
		"cat ~/.bb/prompt.md ~/.conf":                             "be kindfixed",
		"stat -c '%U %a' ~ ~/.bb ~/.conf ~/workspace":             "node 755\nnode 755\nnode 600\nnode 755\n",
		"stat -c '%u %a' /bb/door/door.sock /bb/door":             "65532 666\n65532 755\n",
		"stat -c '%U %a' " + spec.CAFile + " " + spec.CABundle:    "root 644\nroot 644\n",
		"grep -c BEGIN " + spec.CAFile:                            "1\n",
		"grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status": "CapBnd:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n",
		"ulimit -c; touch /tmp/x && echo yes":                     "0\nyes\n",
		"tr '\\0' '\\n' < /proc/1/environ | grep -c HIDDEN":       "0\n",
		"stat -f -c %T /run/bb; stat -c '%u %a' /run/bb":          "tmpfs\n1000 700\n",
	} {
		got, _ := sh(t, d, s, line)
		if strings.HasPrefix(line, "grep -E") { // the kernel's order is its own
			for l := range strings.Lines(want) {
				if !strings.Contains(got, l) {
					t.Errorf("%s: no %q in %q", line, l, got)
				}
			}
			continue
		}
		if got != want {
			t.Errorf("%s:\ngot  %q\nwant %q", line, got, want)
		}
	}
	noSecret(t, s)
}

// noSecret searches what the engine tells about both containers.
func noSecret(t *testing.T, s *spec.Spec) {
	t.Helper()
	for _, name := range []string{s.ID.Name(), s.ID.Sidecar()} {
		i, err := raw(t).ContainerInspect(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(i)
		for _, secret := range []string{"sk-test-0123456789", "hidden-env-value"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("inspect of %s tells a secret", name)
			}
		}
		for _, label := range []string{spec.LabelSpecJSON, spec.LabelSource} {
			if strings.Contains(i.Config.Labels[label], "plain value") || strings.Contains(i.Config.Labels[label], "/home/me") {
				t.Errorf("label %s of %s: %s", label, name, i.Config.Labels[label])
			}
		}
		if want := "dev.md, base.md"; i.Config.Labels[spec.LabelSource] != want {
			t.Errorf("source of %s: %q", name, i.Config.Labels[spec.LabelSource])
		}
	}
}

// TestRestartRepairs stops an agent that rearranged its home, and starts it
// again: links in place of directories are replaced and not followed, and the
// bundle holds the certificate once.
func TestRestartRepairs(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	sh(t, d, s, "rm -rf ~/.bb ~/workspace; ln -s /tmp ~/.bb; ln -s /proc/self/fd/8 ~/workspace")
	now := 0
	if err := raw(t).ContainerStop(t.Context(), s.ID.Name(), container.StopOptions{Timeout: &now}); err != nil {
		t.Fatal(err)
	}
	if err := d.StartAgent(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	got, _ := sh(t, d, s, "ls /tmp; stat -c %F ~/.bb ~/workspace; grep -c '# bb:' "+spec.CABundle+"; cat ~/.bb/prompt.md")
	if want := "directory\ndirectory\n1\nbe kind"; got != want {
		t.Errorf("after the restart: %q, want %q", got, want)
	}
	if _, err := raw(t).ContainerInspect(t.Context(), s.ID.Name()); err != nil {
		t.Error(err)
	}
}

// TestWorkdirLink makes the workspace a link to what a leaking runtime would
// leave open: a command must not start outside of the bottle.
func TestWorkdirLink(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	for fd := 3; fd < 12; fd++ {
		sh(t, d, s, fmt.Sprintf("cd / && rm -rf ~/workspace && ln -s /proc/self/fd/%d ~/workspace", fd))
		c := command{argv: []string{"/bin/sh", "-c", "readlink /proc/self/cwd; cat ../../../../../../etc/hostname"}, user: agentUser}
		res, err := d.command(t.Context(), s.ID.Name(), c)
		if err == nil && res.code == 0 && !strings.Contains(res.stdout, s.ID.Agent) {
			t.Errorf("fd %d: a command started at %q", fd, res.stdout)
		}
		if _, err := d.engine.ContainerInspect(t.Context(), s.ID.Name()); err != nil {
			t.Fatal(err)
		}
		// Put it back: with a broken one not even the repair could run.
		a := guest.NewArchive()
		if err := a.Add(spec.File{Path: spec.Workdir, Dir: true, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
		if err := d.upload(t.Context(), s.ID.Name(), s.ID.Name(), a); err != nil {
			t.Fatal(err)
		}
	}
}
