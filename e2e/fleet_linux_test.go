package e2e_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

// machineHome is a home with a smolvm, whose machines end with the test.
func machineHome(t *testing.T) (*home, *fakesmol.Fake) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("the fake smolvm makes namespaces and mounts: run this test as root")
		}
		t.Skip("the fake smolvm makes namespaces and mounts, which takes root: NOT RUN")
	}
	fake := fakesmol.New(t)
	// The paths of sockets have little room.
	dir, err := os.MkdirTemp("", "bb-h") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	h := &home{t: t, dir: dir}
	t.Cleanup(func() { // after everything is destroyed
		if left := sidecarsOf(t, h); len(left) > 0 {
			t.Errorf("sidecars left after destroy: %v", left)
		}
		_ = os.RemoveAll(dir)
	})
	*h = *newHome(t)
	if err := os.CopyFS(dir, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	h.dir = dir
	h.env = append(h.env, "BB_SMOLVM="+fake.Path, "SMOLVM_DATA_DIR="+fake.DataDir)
	t.Cleanup(h.leaveNothing)
	return h, fake
}

// sidecarsOf lists the processes whose program is a home's copy of bb.
func sidecarsOf(t *testing.T, h *home) (pids []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if to, _ := os.Readlink(l); strings.HasPrefix(to, filepath.Join(h.dir, "state", "smolvm")+"/") {
			pids = append(pids, filepath.Base(filepath.Dir(l)))
		}
	}
	return pids
}

// listening are the ports of this machine, as ss -ltnp lists them, that some
// processes listen on: other tests open theirs meanwhile.
func listening(t *testing.T, pids ...string) (ports []string) {
	t.Helper()
	open := map[string]bool{}
	for _, pid := range pids {
		fds, err := filepath.Glob("/proc/" + pid + "/fd/*")
		if err != nil || len(fds) == 0 {
			t.Fatalf("descriptors of %s: %v", pid, err)
		}
		for _, fd := range fds {
			to, _ := os.Readlink(fd)
			open[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile("/proc/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && open[f[9]] {
				ports = append(ports, f[1])
			}
		}
	}
	return ports
}

// TestMixedFleet: two bottles of each backend in one plan.
func TestMixedFleet(t *testing.T) {
	f := newForge(t)
	repo := f.repository("app")
	h, fake := machineHome(t)
	secret := "token-" + random(16)
	h.env = append(h.env, "E2E_ROUTE_TOKEN="+secret)
	declare := func(routes string) {
		for _, backend := range []string{"docker", "smolvm"} {
			network := ""
			if backend == "docker" {
				network = "  network: " + f.network + "\n"
			}
			h.bottle(backend, "agent_provider: {template: shell}\nbackend: "+backend+"\negress:\n"+network+"  routes:\n"+routes+f.remotes("", repo))
		}
	}
	const before = "    - host: api.example.com\n      auth: {scheme: Bearer, token_ref: E2E_ROUTE_TOKEN}\n"
	declare(before)
	var agents []string
	for _, name := range []string{"done", "dtwo", "sone", "stwo"} {
		agents = append(agents, h.agent(name, map[byte]string{'d': "docker", 's': "smolvm"}[name[0]], "be kind"))
	}

	h.must("plan").says(t, "smolvm", "docker", "4 to create")
	h.must("apply", "-y")
	h.settled()
	if r := h.must("ps"); strings.Count(r.stdout, "smolvm") != 2 || strings.Count(r.stdout, "docker") != 2 {
		t.Errorf("%s", r)
	}
	var processes []int
	for _, a := range agents[2:] {
		processes = append(processes, fake.Process(containerName(t, h, a)))
	}
	sidecars := sidecarsOf(t, h)
	if ports := listening(t, append(sidecars, strconv.Itoa(processes[0]), strconv.Itoa(processes[1]))...); len(sidecars) != 2 || len(ports) > 0 {
		t.Errorf("sidecars %v; ports of this machine that they or machines listen on: %v", sidecars, ports)
	}
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if len(listening(t, strconv.Itoa(os.Getpid()))) == 0 {
		t.Error("a port that is open is not found")
	}
	_ = own.Close()
	h.run("doctor").says(t, "smolvm.smolvm", "smolvm.sidecars", "docker.engine")
	for i, a := range agents {
		b := bottle{t, h, a}
		if got := b.must("id -un; echo $HOME"); got != "node\n/home/node\n" {
			t.Errorf("%s is %q", a, got)
		}
		if r := h.run("exec", a, "--", "sh", "-c", "exit 7"); r.code != 7 {
			t.Errorf("%s", r)
		}
		if out := b.fails("curl -fsS --max-time 10 https://other.example.com/ 2>&1"); !strings.Contains(out, "403") {
			t.Errorf("%s reaches what is not allowed: %s", a, out)
		}
		b.must("git clone -q " + repo.url + " app && cd app && git switch -q -c agent/" + a + " && echo done > " + a + " && git add . && git commit -qm Work && git push -q origin HEAD")
		if pushed := strings.TrimSpace(b.must("git -C app rev-parse HEAD")); repo.Refs(t)["refs/heads/agent/"+a] != pushed {
			t.Errorf("%d: the push of %s did not arrive", i, a)
		}
		leak := "AK" + "IA" + upper(16)
		if out := b.fails("cd app && echo key=" + leak + " > k && git add . && git commit -qm Key && git push origin HEAD"); !strings.Contains(out, "AWS access key") {
			t.Errorf("%s: %s", a, out)
		}
	}
	nowhere(t, h, secret, strings.TrimSpace(f.Key))

	// In place, on both.
	declare(before + "    - host: other.example.com\n")
	h.must("apply", "-y").says(t, "4 updated")
	h.settled()
	for i, a := range agents[2:] {
		if now := fake.Process(containerName(t, h, a)); now == 0 || now != processes[i] {
			t.Errorf("%s went from process %d to %d", a, processes[i], now)
		}
		if out := (bottle{t, h, a}).shell("curl -sS http://_egress.local/").all(); !strings.Contains(out, "other.example.com") {
			t.Errorf("%s does not see the new route: %s", a, out)
		}
	}

	// A sidecar that dies takes the way out with it, and apply starts it.
	for _, pid := range sidecarsOf(t, h) {
		if _, err := command("kill", "-9", pid); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range agents[2:] {
		(bottle{t, h, a}).fails("curl -fsS --max-time 10 http://_egress.local/")
	}
	if r := h.run("plan", "--detailed-exitcode"); r.code != 2 {
		t.Errorf("dead sidecars are no drift: %s", r)
	}
	h.must("apply", "-y")
	h.settled()
	(bottle{t, h, agents[2]}).must("curl -fsS --max-time 10 http://_egress.local/")

	// One of each fails, the others go on.
	h.bottle("broken", "agent_provider: {template: shell, image: "+filepath.Join(h.dir, "nothing.tar")+"}\nbackend: smolvm\n")
	broken := h.agent("broken", "broken", "")
	declare(before)
	if r := h.fails("apply", "-y"); !strings.Contains(r.all(), "nothing.tar") {
		t.Errorf("%s", r)
	}
	if err := os.Remove(filepath.Join(h.dir, "agents", broken+".md")); err != nil {
		t.Fatal(err)
	}
	h.must("apply", "-y")
	h.settled()

	// Another backend is another bottle.
	h.write("agents/"+agents[3]+".md", "---\nbottle: docker\n---\nbe kind\n")
	h.must("plan").says(t, "smolvm", "docker", "replace")
	h.must("apply", "-y")
	h.settled()
	if got := sidecarsOf(t, h); len(got) != 1 {
		t.Errorf("sidecars of machines: %v", got)
	}

	h.must("destroy", "-y")
	if left := sidecarsOf(t, h); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, "state", "smolvm", "s", "*", "instance")); len(left) > 0 {
		t.Errorf("directories left: %v", left)
	}
	h.must("cleanup", "-y")
}

// containerName is an instance's name, from ps.
func containerName(t *testing.T, h *home, agent string) string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(h.dir, "state", "smolvm", "s", "*", "instance"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		b, err := os.ReadFile(d)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), agent) {
			return instanceName(t, b)
		}
	}
	t.Fatalf("no machine of %s", agent)
	return ""
}

// nowhere: no value in a process's arguments or environment, nor in a file
// of the home or of smolvm.
func nowhere(t *testing.T, h *home, values ...string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range sidecarsOf(t, h) {
		files = append(files, "/proc/"+pid+"/environ")
	}
	dirs := []string{filepath.Join(h.dir, "state")}
	for _, e := range h.env {
		if dir, ok := strings.CutPrefix(e, "SMOLVM_DATA_DIR="); ok {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		for _, value := range values {
			absentBelow(t, dir, value)
		}
	}
	for _, file := range files {
		b, _ := os.ReadFile(file) // may have ended
		for _, value := range values {
			if strings.Contains(string(b), value) {
				t.Errorf("%s holds a secret", file)
			}
		}
	}
}

func instanceName(t *testing.T, b []byte) string {
	t.Helper()
	var id spec.ID
	if err := json.Unmarshal(b, &id); err != nil {
		t.Fatal(err)
	}
	return id.Name()
}
