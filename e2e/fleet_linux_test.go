package e2e_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

// machineHome is a home with a smolvm, whose machines end with the test. Its bb
// and sidecars are in a place, or with nil where this test is.
func machineHome(t *testing.T, p *place) (*home, *fakesmol.Fake) {
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
	if p != nil {
		h.at = p
	}
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

// TestMixedFleet: two bottles of each backend in one plan.
func TestMixedFleet(t *testing.T) {
	f := newForge(t)
	repo := f.repository("app")
	p := newPlace(t, f.network)
	h, fake := machineHome(t, p)
	secret := "token-" + random(16)
	h.env = append(h.env, "E2E_ROUTE_TOKEN="+secret)
	const routes = "    - host: api.example.com\n      auth: {scheme: Bearer, token_ref: E2E_ROUTE_TOKEN}\n"
	declare := func(name, backend, image, routes string) {
		network := ""
		if backend == "docker" {
			network = "  network: " + f.network + "\n"
		}
		h.bottle(name, "agent_provider: {template: shell"+image+"}\nbackend: "+backend+"\negress:\n"+network+"  routes:\n"+routes+f.remotes("", repo))
	}
	all := func(routes string) {
		for _, name := range []string{"docker", "smolvm", "docker-two", "smolvm-two"} {
			backend, _, _ := strings.Cut(name, "-")
			declare(name, backend, "", routes)
		}
	}
	all(routes)
	agents := []string{
		h.agent("done", "docker", "be kind"), h.agent("dtwo", "docker-two", "be kind"),
		h.agent("sone", "smolvm", "be kind"), h.agent("stwo", "smolvm-two", "be kind"),
	}
	ports, ps := watchPorts(t, h, p), watchProcesses(t, h, secret, keyLine(f.Key))

	h.must("plan").says(t, "smolvm", "docker", "4 to create")
	// One of each fails, and the others come up in the same apply.
	recipe := filepath.Join(h.dir, "Dockerfile")
	h.write("Dockerfile", "FROM "+baseImage()+"\nRUN echo no such luck >&2; exit 9\n")
	declare("docker-two", "docker", ", dockerfile: "+recipe, routes)
	declare("smolvm-two", "smolvm", ", image: "+filepath.Join(h.dir, "nothing.tar"), routes)
	r := h.fails("apply", "-y")
	r.says(t, "image docker-two: ", "no such luck", "image smolvm-two: ", "nothing.tar", "Applied: 2 created,",
		agents[1]+": what was begun of it is removed again", agents[3]+": what was begun of it is removed again")
	runs(t, h, map[string]bool{agents[0]: true, agents[1]: false, agents[2]: true, agents[3]: false})
	if n := len(sidecarsOf(t, h)); n == 0 || fake.Process(containerName(t, h, agents[2])) == 0 {
		t.Errorf("%d sidecars, and the machine that could come up does not run", n)
	}
	for _, a := range []string{agents[0], agents[2]} {
		h.must("exec", a, "--", "true")
	}
	h.must("plan").says(t, "2 unchanged")
	all(routes)
	h.must("apply", "-y").says(t, "2 created")
	h.settled()
	runs(t, h, map[string]bool{agents[0]: true, agents[1]: true, agents[2]: true, agents[3]: true})
	if r := h.must("ps"); strings.Count(r.stdout, "smolvm") != 2 || strings.Count(r.stdout, "docker") != 2 {
		t.Errorf("%s", r)
	}
	noPorts(t, agents[:2]...)
	var processes []int
	for _, a := range agents[2:] {
		processes = append(processes, fake.Process(containerName(t, h, a)))
	}
	if got := sidecarsOf(t, h); len(got) != 2 {
		t.Errorf("sidecars: %v", got)
	}
	h.run("doctor").says(t, "smolvm.smolvm", "smolvm.sidecars", "docker.engine")

	works(t, h, f, repo, agents)
	nowhere(t, h, secret, keyLine(f.Key))
	for _, a := range agents {
		for _, args := range [][]string{{"logs", a}, {"logs", "--sidecar", a}, {"logs", "--egress", a}, {"git", a}, {"ps", "--json"}, {"plan", "--json"}, {"info", a, "--json"}} {
			for _, value := range []string{secret, keyLine(f.Key)} {
				absent(t, "bb "+strings.Join(args, " "), strings.NewReader(h.run(args...).all()), value)
			}
		}
	}

	// In place, on both.
	all(routes + "    - host: other.example.com\n")
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

	// Another backend is another bottle.
	h.write("agents/"+agents[3]+".md", "---\nbottle: docker-two\n---\nbe kind\n")
	h.must("plan").says(t, "-/+ "+agents[3], `"smolvm" -> "docker"`, "1 to replace")
	h.must("apply", "-y")
	h.settled()
	if got := sidecarsOf(t, h); len(got) != 1 {
		t.Errorf("sidecars of machines: %v", got)
	}

	h.must("destroy", "-y")
	h.must("cleanup", "-y")
	ports.ends()
	ps.ends()
	nothingLeft(t, h, fake)
}

// works has every bottle do what bottles are for.
func works(t *testing.T, h *home, f *forge, repo repository, agents []string) {
	t.Helper()
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
}

// runs holds ps to which agents run.
func runs(t *testing.T, h *home, want map[string]bool) {
	t.Helper()
	out := h.must("ps").stdout
	got := map[string]bool{}
	for agent := range want {
		for line := range strings.Lines(out) {
			if strings.Contains(line, agent) && strings.Contains(line, "running") {
				got[agent] = true
			}
		}
		if got[agent] != want[agent] {
			t.Errorf("%s runs: %v, want %v\n%s", agent, got[agent], want[agent], out)
		}
	}
}

// nothingLeft looks for what destroy and cleanup are to take along: machines,
// processes, sockets, directories of instances.
func nothingLeft(t *testing.T, h *home, fake *fakesmol.Fake) {
	t.Helper()
	cmd := exec.Command(fake.Path, "machine", "ls", "--json")
	cmd.Env = append(os.Environ(), "SMOLVM_DATA_DIR="+fake.DataDir)
	if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != "[]" {
		t.Errorf("machines: %s, %v", out, err)
	}
	if left := sidecarsOf(t, h); len(left) > 0 {
		t.Errorf("sidecars: %v", left)
	}
	if left := commandsWith(fake.DataDir); len(left) > 0 {
		t.Errorf("processes: %q", left)
	}
	for _, root := range []string{h.dir, fake.DataDir} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type()&fs.ModeSocket != 0 {
				t.Errorf("a socket: %s", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	for _, parent := range []string{h.dir + "/state/smolvm/s", h.dir + "/state/smolvm/agents", fake.DataDir + "/.cache/smolvm/vms"} {
		entries, _ := os.ReadDir(parent) // gone is as good
		for _, e := range entries {
			if e.IsDir() {
				t.Errorf("a directory of an instance: %s", filepath.Join(parent, e.Name()))
			}
		}
	}
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

func instanceName(t *testing.T, b []byte) string {
	t.Helper()
	var id spec.ID
	if err := json.Unmarshal(b, &id); err != nil {
		t.Fatal(err)
	}
	return id.Name()
}
