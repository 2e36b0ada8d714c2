package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
	for _, pattern := range []string{h.dir + "/state/smolvm/s/*/", h.dir + "/state/smolvm/agents/*", fake.DataDir + "/.cache/smolvm/vms/*"} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("directories: %v", left)
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

// nowhere: no value in a process's arguments or environment, nor in a file
// of the home or of smolvm.
func nowhere(t *testing.T, h *home, values ...string) {
	t.Helper()
	for _, dir := range append(h.machineData(), filepath.Join(h.dir, "state")) {
		for _, value := range values {
			absentBelow(t, dir, value)
		}
	}
	w := &processWatch{t: t, h: h, values: values, found: map[string]bool{}, seen: map[string]bool{}}
	w.look()
	for what := range w.found {
		t.Errorf("%s holds a secret", what)
	}
}

// processWatch looks again and again at what `ps eww` shows of every process of
// this machine: secrets must be in the arguments of none, and in the environment
// of nobody but the bb that the test itself started with them.
type processWatch struct {
	t      *testing.T
	h      *home
	values []string
	found  map[string]bool
	seen   map[string]bool // what kinds of processes there were
	known  map[string]bool // processes that were looked at before
	stop   chan struct{}
	done   chan struct{}
}

// watched are kinds of processes of which one at least must have been looked at.
var watched = map[string]string{
	"smolvm starts": "machine\x00start\x00", "smolvm execs": "machine\x00exec\x00", "a control call": "sidecar\x00ctl\x00", "a sidecar": "sidecar\x00host\x00",
	"a push in a bottle": "push\x00", "the gate's git": "GIT_CONFIG_NOSYSTEM=1", "the engine's exec": "door\x00session\x00",
}

func watchProcesses(t *testing.T, h *home, values ...string) *processWatch {
	t.Helper()
	w := &processWatch{t: t, h: h, values: values, found: map[string]bool{}, seen: map[string]bool{}, stop: make(chan struct{}), done: make(chan struct{})}
	// It would notice one, in the arguments and in the environment of another's child.
	for _, c := range [][]string{{"sh", "-c", "sleep 60; :", values[0]}, {"sh", "-c", "X=" + values[0][:4] + "$0 sleep 60; :", values[0][4:]}} {
		cmd := exec.Command(c[0], c[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a secret that is shown is noticed", func() bool { w.look(); return len(w.found) > 0 })
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
		_, _ = command("kill", strings.Fields(string(children))...) // its sleep
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		clear(w.found)
	}
	go func() {
		defer close(w.done)
		for {
			w.look()
			select {
			case <-w.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return w
}

func (w *processWatch) look() {
	self := strconv.Itoa(os.Getpid())
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	known := map[string]bool{}
	for _, dir := range dirs {
		pid := filepath.Base(dir)
		args, _ := os.ReadFile(dir + "/cmdline") // may have ended
		one := pid + " " + string(args)
		if known[one] = true; pid == self || w.known[one] {
			continue // what it was started with does not change
		}
		env, _ := os.ReadFile(dir + "/environ")
		for kind, text := range watched {
			if strings.Contains(string(args)+"\x00"+string(env), text) {
				w.seen[kind] = true
			}
		}
		for _, value := range w.values {
			if strings.Contains(string(args), value) {
				w.found[fmt.Sprintf("the command line of %.60q", args)] = true
			}
			if strings.Contains(string(env), value) && !startedHere(pid, args) {
				w.found[fmt.Sprintf("the environment of %.60q", args)] = true
			}
		}
	}
	w.known = known
}

// startedHere reports whether this test started a process, or whether that is
// not to be known: it has ended, or is a copy of one that has not begun its own
// program yet.
func startedHere(pid string, args []byte) bool {
	self, parent := strconv.Itoa(os.Getpid()), parentOf(pid)
	if parent == self || parent == "" {
		return true
	}
	same, _ := os.ReadFile("/proc/" + parent + "/cmdline")
	return parentOf(parent) == self && bytes.Equal(same, args)
}

func (w *processWatch) ends() {
	w.t.Helper()
	close(w.stop)
	<-w.done
	for what := range w.found {
		w.t.Errorf("%s holds a secret", what)
	}
	for kind := range watched {
		if !w.seen[kind] {
			w.t.Errorf("the watch saw nothing of %s: it proves nothing", kind)
		}
	}
}

// keyLine is a line of a private key that no other key has.
func keyLine(key string) string {
	lines := strings.Split(strings.TrimSpace(key), "\n")
	return lines[len(lines)/2]
}

func instanceName(t *testing.T, b []byte) string {
	t.Helper()
	var id spec.ID
	if err := json.Unmarshal(b, &id); err != nil {
		t.Fatal(err)
	}
	return id.Name()
}
