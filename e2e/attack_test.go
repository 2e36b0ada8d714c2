package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// attackLine is one variant of one row of the attack list, as hack/attack
// prints it, or as it was judged out here.
type attackLine struct {
	Row, Tried, Happened, Want string
	Pass                       bool
}

// attackRows are the rows of sections A to E; a reason stands where a row
// cannot be tried on this engine. docs/attacks.md has the same.
var attackRows = func() map[string]string {
	rows := map[string]string{}
	for section, n := range map[string]int{"A": 7, "B": 9, "C": 7, "D": 9, "E": 10} {
		for i := range n {
			rows[fmt.Sprintf("%s%d", section, i+1)] = ""
		}
	}
	rows["E9"] = "about smolvm's own allow list, which bb does not use: the sidecar is the only way there as here, see E1"
	return rows
}()

// TestAttackList runs every row of the attack list from a shell in a real
// bottle: hack/attack has the attacks. Here stand the outside, the host and the
// watches that prove silence. `make attack` prints the table.
func TestAttackList(t *testing.T) {
	u, id := outside(t)
	h := newHome(t)
	a := newAttacked(t, u, id, h, containers{t, h})
	// The detectors answer few questions a minute: each bottle asks its share.
	a.spender = "spender-" + h.id
	h.write("agents/"+a.spender+".md", fmt.Sprintf("---\nbottle: open\nreplicas: %d\n---\nWork.\n", shares))
	a.up()
	a.watches()
	together(func() { a.inside("rows") }, a.shell, a.probed, a.costly, a.emptyList, a.hosts)
	together(a.listens, a.secrets, a.logged)
	a.changes()
	a.tunnels()
	a.floods()
	a.judgeUpstream()
	a.judgeWatches()
	a.table()
}

// backend is what of a bottle only its engine shows.
type backend interface {
	// push puts a program into a bottle and returns where.
	push(agent, file string) string
	// sidecar is the container whose network an agent's sidecar is in.
	sidecar(agent string) string
	// listens lists listeners of an agent's sidecar that others could reach.
	listens(agent string) []string
	// search looks for values in files and memory of a bottle.
	search(agent string, values ...string) (found [][]string, processes int)
	// life changes when an agent's sidecar is another process.
	life(agent string) string
	// records is all that is kept and shown of a bottle outside of it.
	records(agent string) string
}

// containers are bottles on the engine.
type containers struct {
	t *testing.T
	h *home
}

func (c containers) push(agent, file string) string {
	return push(c.t, containerOf(c.t, agent, false), file)
}
func (c containers) sidecar(agent string) string { return containerOf(c.t, agent, true) }

func (c containers) listens(agent string) []string { return listeners(c.t, c.sidecar(agent)) }

func (c containers) search(agent string, values ...string) ([][]string, int) {
	return search(c.t, containerOf(c.t, agent, false), values...)
}

func (c containers) life(agent string) string {
	return docker(c.t, "inspect", "--format", "{{.State.Pid}} {{.RestartCount}} {{.State.OOMKilled}}", c.sidecar(agent))
}

func (c containers) records(agent string) string {
	records := ""
	for _, sidecar := range []bool{false, true} {
		name := containerOf(c.t, agent, sidecar)
		records += docker(c.t, "inspect", name) + docker(c.t, "logs", name) + docker(c.t, "top", name, "-eo", "pid,args")
	}
	name := containerOf(c.t, agent, false)
	return records + docker(c.t, "volume", "inspect", name+"_door", name+"_ca")
}

// attacked is a bottle under attack, with all that is around it.
type attacked struct {
	t  *testing.T
	h  *home
	u  *upstream
	on backend
	// rows are those that are run, with the reason of each that cannot be.
	rows map[string]string
	// meaningless are variants that say nothing where they are tried.
	meaningless             []string
	ear                     *ear
	id                      string
	agent, empty, neighbour string
	spender                 string // an agent of many bottles
	token, leak             string
	program                 string // in the bottle
	mu                      sync.Mutex
	lines                   []attackLine
	said                    strings.Builder // all that any attack printed
}

func (a *attacked) host(role string) string { return role + "-" + a.id + ".test" }

func (a *attacked) judge(row, tried, want, happened string, pass bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = append(a.lines, attackLine{row, tried, happened, want, pass})
}

// outside answers for all names of an attack: what is never asked for could be
// found.
func outside(t *testing.T) (u *upstream, id string) {
	id = random(5)
	names := []string{"payload.wild-" + id + ".test"}
	for _, role := range []string{"loud", "auth", "basic", "paths", "socket", "gone", "private", "tunnel", "leak"} {
		names = append(names, role+"-"+id+".test")
	}
	for row := range attackRows {
		names = append(names, strings.ToLower(row)+".mute-"+id+".example")
	}
	return newUpstream(t, names...), id
}

// newAttacked declares three bottles: one that attacks, one with an empty list,
// and a neighbour.
func newAttacked(t *testing.T, u *upstream, id string, h *home, on backend) *attacked {
	a := &attacked{t: t, id: id, u: u, h: h, on: on, rows: attackRows, ear: listen(t)}
	a.token, a.leak = "token-"+random(20), "leak+"+random(16)+"/x="
	login := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(login, []byte(`{"OPENAI_API_KEY":"host-only-`+a.id+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	a.h.env = append(a.h.env, "E2E_TOKEN="+a.token, "E2E_LEAK="+a.leak, "CODEX_HOME="+filepath.Dir(login), "E2E_HOST_ONLY=host-only-"+a.id)
	a.bottle(true, false)
	a.h.bottle("empty", "agent_provider: {template: shell}\negress:\n"+a.u.egress()+"  routes: []\n")
	a.h.bottle("other", "agent_provider: {template: shell}\negress:\n"+a.u.egress()+"  routes:\n"+a.u.route(a.host("loud"), ""))
	a.agent, a.empty, a.neighbour = a.h.agent("attacker", "open", ""), a.h.agent("closed", "empty", ""), a.h.agent("neighbour", "other", "")
	return a
}

// up applies them.
func (a *attacked) up() {
	a.h.must("apply", "-y")
	a.program = a.on.push(a.agent, attackBinary)
	a.on.push(a.empty, attackBinary)
}

// bottle writes the attacker's policy: with the host that goes, or with a
// tunnel.
func (a *attacked) bottle(gone, tunnel bool) {
	auth := func(scheme, ref string) string { return "auth: {scheme: " + scheme + ", token_ref: " + ref + "}" }
	limits := "matches: [{methods: [GET], paths: [/public]}]"
	routes := a.u.route(a.host("loud"), "") + a.u.route(a.host("loud"), "port: 80") +
		a.u.route(a.host("auth"), auth("Bearer", "E2E_TOKEN")) + a.u.route(a.host("basic"), auth("Basic", "E2E_TOKEN")) +
		a.u.route(a.host("leak"), auth("Bearer", "E2E_LEAK")) +
		a.u.route(a.host("paths"), limits) + a.u.route(a.host("paths"), limits+"\n      port: 80") +
		a.u.route(a.host("socket"), auth("Bearer", "E2E_TOKEN")+"\n      websocket: true") +
		a.u.route("'*.wild-"+a.id+".test'", "") +
		"    - host: " + a.host("private") + "\n    - host: " + a.host("private") + "\n      port: 80\n"
	for _, ip := range []string{"169.254.169.254", "127.0.0.1"} {
		for _, port := range []string{"80", "443"} {
			routes += "    - host: " + ip + "\n      port: " + port + "\n      pipelock: {ssrf_ip_allowlist: [" + ip + "/32]}\n"
		}
	}
	if gone {
		routes += a.u.route(a.host("gone"), "websocket: true")
	}
	if tunnel {
		routes += a.u.route(a.host("tunnel"), "tunnel: true")
	}
	a.h.bottle("open", "agent_provider: {template: shell}\nresources: {memory: 384MiB, pids: 256}\negress:\n"+a.u.egress()+"  routes:\n"+routes)
}

// world is what an attacker is told.
func (a *attacked) world() string {
	hosts := hostAddresses(a.t)
	for _, agent := range []string{a.agent, a.empty, a.neighbour} {
		if ip := address(a.t, a.on.sidecar(agent)); !slices.Contains(hosts, ip) {
			hosts = append(hosts, ip)
		}
	}
	w := map[string]any{
		"ID": a.id, "Upstream": address(a.t, a.u.name), "Gateway": a.u.gateway, "HostPort": a.ear.port, "Hosts": hosts, "Leak": a.leak, "CanaryName": canaryName,
		"Wild": "wild-" + a.id + ".test",
	}
	for _, role := range []string{"Loud", "Auth", "Basic", "Paths", "Socket", "Gone", "Private", "Tunnel"} {
		w[role] = a.host(strings.ToLower(role))
	}
	text, err := json.Marshal(w)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}

// inside runs the program in the attacker's bottle.
func (a *attacked) inside(args ...string) {
	a.take(a.h.runWith(a.world(), append([]string{"exec", a.agent, "--", a.program}, args...)...))
}

// take adds what an attack printed.
func (a *attacked) take(r result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said.WriteString(r.all())
	n := 0
	for line := range strings.Lines(r.stdout) {
		var l attackLine
		if json.Unmarshal([]byte(line), &l) == nil && l.Want != "" {
			if n++; !slices.Contains(a.meaningless, l.Tried) {
				a.lines = append(a.lines, l)
			}
		}
	}
	if r.code != 0 || n == 0 {
		a.t.Errorf("the attack did not finish: %s", r)
	}
}

// shell runs what a person would type.
func (a *attacked) shell() {
	script, err := os.ReadFile("../hack/attack/inside.sh")
	if err != nil {
		a.t.Fatal(err)
	}
	a.take(a.h.runWith(string(script), "exec", a.agent, "--", "env", "ID="+a.id, "LOUD="+a.host("loud"), "AUTH="+a.host("auth"),
		"PRIVATE="+a.host("private"), "UPSTREAM="+address(a.t, a.u.name), "bash", "-s"))
}

// probed runs the probe that the isolation tests use: every address in every
// way that needs no privilege, and every door of the kernel.
func (a *attacked) probed() {
	path := a.on.push(a.agent, probeBinary)
	var sidecars []string
	for _, agent := range []string{a.agent, a.empty, a.neighbour} {
		sidecars = append(sidecars, address(a.t, a.on.sidecar(agent)))
	}
	slices.Sort(sidecars)
	args := ways(a.t, a.ear.port, slices.Compact(sidecars)...)
	for i, arg := range args { // the allowed name has an answer by design
		if arg == "allowed.test" || arg == "unknown.example.com" {
			args[i] = "a2.mute-" + a.id + ".example"
		}
	}
	r := a.h.run(append([]string{"exec", a.agent, "--", path}, args...)...)
	a.mu.Lock()
	a.said.WriteString(r.all())
	a.mu.Unlock()
	failed := map[string][]string{}
	count := map[string]int{}
	for _, one := range parse(a.t, r.stdout) {
		row := probeRow(one.Attempt)
		if count[row]++; one.Out && !slices.Contains(a.meaningless, strings.TrimSpace(one.Attempt+" "+one.Target)) {
			failed[row] = append(failed[row], one.Attempt+" "+one.Target)
		}
	}
	for row, n := range count {
		a.judge(row, fmt.Sprintf("%d ways of the probe", n), "none gets out", fmt.Sprintf("%d got out %v", len(failed[row]), failed[row]), len(failed[row]) == 0)
	}
	for _, row := range []string{"A2", "E2", "E4", "E5", "E6", "E7"} {
		if count[row] == 0 {
			a.judge(row, "the probe", "it tries", "it tried nothing", false)
		}
	}
}

func probeRow(attempt string) string {
	for prefix, row := range map[string]string{
		"dns": "A2", "interfaces": "E2", "tcp": "E4", "udp": "E4", "unix": "E7", "door": "E4",
		"user namespace": "E5", "network namespace": "E5", "mount": "E5", "set uid": "E5",
	} {
		if strings.HasPrefix(attempt, prefix) {
			return row
		}
	}
	return "E6"
}

// shares is how many bottles ask the detectors; canaryName is the variable
// that holds what no honest program sends.
const (
	shares     = 14
	canaryName = "BACKUP_ADMIN_TOKEN"
)

// costly makes what a sidecar counts, in bottles of its own.
func (a *attacked) costly() {
	var spenders []string
	for name := range strings.Lines(docker(a.t, "ps", "--format", "{{.Names}}", "--filter", "name=bb-"+a.spender)) {
		if name = strings.TrimSpace(name); !strings.HasSuffix(name, "_s") {
			spenders = append(spenders, name)
		}
	}
	if len(spenders) != shares {
		a.t.Fatalf("want %d bottles, got %v", shares, spenders)
	}
	results := make([]result, shares)
	var all sync.WaitGroup
	world := a.world()
	for n, name := range spenders {
		all.Go(func() {
			path := push(a.t, name, attackBinary)
			cmd := exec.Command("docker", "exec", "-i", "-u", "node", name, path, "costly", fmt.Sprint(n), fmt.Sprint(shares))
			var stdout, stderr strings.Builder
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(world), &stdout, &stderr
			if err := cmd.Run(); err != nil {
				a.t.Errorf("%s: %v", name, err)
			}
			results[n] = result{stdout: stdout.String(), stderr: stderr.String()}
		})
	}
	all.Wait()
	for _, r := range results {
		a.take(r)
	}
}

// emptyList attacks from the bottle that may reach nothing.
func (a *attacked) emptyList() {
	a.take(a.h.runWith(a.world(), "exec", a.empty, "--", a.program, "rows", "A7"))
}

// changes takes a route away under connections that use it.
func (a *attacked) changes() {
	held := start(a.t, a.h, a.agent, a.world(), a.program, "hold")
	eventually(a.t, "the attacker holds its connections", func() bool {
		select {
		case <-held.ended:
			return true
		default:
			return strings.Contains(held.out.String(), `"ready"`)
		}
	})
	a.bottle(false, false)
	a.h.must("apply", "-y")
	select {
	case <-held.ended:
	case <-time.After(30 * time.Second):
		a.t.Error("the attacker that holds connections does not end")
	}
	a.take(result{stdout: held.out.String(), stderr: held.stderr.String()})
}

// tunnels adds one that is not looked into.
func (a *attacked) tunnels() {
	a.bottle(false, true)
	if r := a.h.run("apply", "-y"); r.code != 0 {
		a.judge("B3", "a route with tunnel: true", "it is applied", lastLine(r.all()), false)
		a.bottle(false, false)
		return
	}
	a.inside("rows", "B3-tunnel")
}

func lastLine(text string) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(all[len(all)-1])
}

// table writes what happened, and fails the test for every row that does.
func (a *attacked) table() {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ROW\tTRIED\tHAPPENED\tEXPECTED\tVERDICT")
	failed := 0
	for _, row := range slices.SortedFunc(maps.Keys(a.rows), byNumber) {
		lines := slices.DeleteFunc(slices.Clone(a.lines), func(l attackLine) bool { return l.Row != row })
		switch reason := a.rows[row]; {
		case len(lines) == 0 && reason != "":
			fmt.Fprintf(w, "%s\t-\tdoes not apply\t%s\t-\n", row, reason)
		case len(lines) == 0:
			lines = []attackLine{{row, "nothing", "the row was not run", "a variant", false}}
		}
		slices.SortStableFunc(lines, func(l, m attackLine) int { return strings.Compare(l.Tried, m.Tried) })
		for _, l := range lines {
			verdict := "PASS"
			if !l.Pass {
				verdict = "FAIL"
				failed++
				a.t.Errorf("%s: %s: %s; want %s", l.Row, l.Tried, l.Happened, l.Want)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.Row, column(l.Tried), column(l.Happened), column(l.Want), verdict)
		}
	}
	if err := w.Flush(); err != nil {
		a.t.Error(err)
	}
	fmt.Fprintf(&out, "\n%d variants, %d failed\n", len(a.lines), failed)
	if file := os.Getenv("BB_ATTACK_TABLE"); file != "" {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			a.t.Error(err)
		}
	}
}

func column(s string) string {
	if s = strings.Join(strings.Fields(s), " "); len(s) > 70 {
		return s[:67] + "..."
	}
	return s
}

// byNumber puts A2 before A10.
func byNumber(a, b string) int {
	if len(a) != len(b) && a[0] == b[0] {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
