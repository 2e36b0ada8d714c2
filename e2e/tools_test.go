package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// upstream is the outside in a container, on the network a sidecar is put on.
type upstream struct {
	t       testing.TB
	engine  *engine // nil: the one that tests share
	name    string
	network string
	subnet  string
	gateway string // the host's address on that network
	ca      string // file of its authority
	// machines says that a place on the network stands for the engine's own way
	// to put a sidecar there.
	machines bool
}

// seen is one request as it arrived there.
type seen struct {
	Method, Host, Path, Authorization string
	BodyBytes                         int64 `json:"body_bytes"`
	Header                            map[string][]string
	Marks                             []string // words "mark-..." of the body
}

func newUpstream(t testing.TB, names ...string) *upstream {
	t.Helper()
	u := &upstream{t: t, name: "outside-" + random(4), ca: filepath.Join(t.TempDir(), "ca.pem")}
	u.network = u.name
	u.subnet, u.gateway = network(t, u.network)
	container(t, u.name, u.arguments(names)...)
	u.authority()
	return u
}

// upstream is one on an engine of the test's own, with which it ends.
func (e *engine) upstream(names ...string) *upstream {
	e.t.Helper()
	u := &upstream{t: e.t, engine: e, name: "outside-" + random(4), ca: filepath.Join(e.t.TempDir(), "ca.pem")}
	u.network = u.name
	e.load([]string{upstreamImage})
	u.docker("network", "create", u.network)
	u.subnet = u.docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", u.network)
	u.docker(append([]string{"run", "-d", "--name", u.name}, u.arguments(names)...)...)
	u.authority()
	return u
}

// again starts it after its engine was.
func (u *upstream) again() {
	u.t.Helper()
	u.docker("start", u.name)
	u.authority()
}

func (u *upstream) arguments(names []string) []string {
	args := []string{"--network", u.network}
	for _, n := range names {
		args = append(args, "--network-alias", n)
	}
	args = append(args, upstreamImage)
	for _, n := range names {
		args = append(args, "-name", n)
	}
	return args
}

func (u *upstream) authority() {
	u.t.Helper()
	eventually(u.t, "the upstream has an authority", func() bool {
		_, err := command("docker", u.on("cp", u.name+":/ca.pem", u.ca)...)
		return err == nil
	})
}

func (u *upstream) docker(args ...string) string {
	u.t.Helper()
	return docker(u.t, u.on(args...)...)
}

func (u *upstream) on(args ...string) []string {
	if u.engine == nil {
		return args
	}
	return append([]string{"-H", u.engine.host}, args...)
}

// egress is the part of a bottle's egress block that leads here.
func (u *upstream) egress() string {
	network := "  network: " + u.network + "\n"
	if u.machines {
		network = ""
	}
	return network + "  upstream_ca: " + u.ca + "\n"
}

// route is one entry of a bottle's routes, without the leading dash's list.
func (u *upstream) route(host, more string) string {
	r := "    - host: " + host + "\n      pipelock: {ssrf_ip_allowlist: [" + u.subnet + "]}\n"
	if more != "" {
		r += "      " + more + "\n"
	}
	return r
}

func (u *upstream) seen() []seen {
	u.t.Helper()
	var all []seen
	for line := range strings.Lines(u.docker("logs", u.name)) {
		var s seen
		if json.Unmarshal([]byte(line), &s) == nil && s.Method != "" {
			all = append(all, s)
		}
	}
	return all
}

// turn is the question to the messages API that brought all these marks.
func (u *upstream) turn(marks ...string) (seen, bool) {
	u.t.Helper()
	for _, s := range u.seen() {
		has := s.Method == "POST" && strings.HasPrefix(s.Path, "/v1/messages")
		for _, m := range marks {
			has = has && slices.Contains(s.Marks, m)
		}
		if has {
			return s, true
		}
	}
	return seen{}, false
}

// turns counts the questions that reached the messages API.
func (u *upstream) turns() int {
	n := 0
	for _, s := range u.seen() {
		if s.Method == "POST" && strings.HasPrefix(s.Path, "/v1/messages") {
			n++
		}
	}
	return n
}

// attempt is one line of the probe.
type attempt struct {
	Attempt, Target, Detail string
	Out                     bool
	At                      int64 // nanoseconds since 1970, where it matters
}

func parse(t testing.TB, out string) []attempt {
	t.Helper()
	var all []attempt
	for line := range strings.Lines(out) {
		var a attempt
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("the probe said %q: %v", line, err)
		}
		all = append(all, a)
	}
	return all
}

// push puts a program into a running bottle, as its user.
func push(t testing.TB, containerName, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	path := "/home/node/" + filepath.Base(file)
	cmd := exec.Command("docker", "exec", "-i", "-u", "node", containerName, "sh", "-c", "cat > "+path+" && chmod 755 "+path)
	cmd.Stdin = f
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("push %s: %v\n%s", file, err, out)
	}
	return path
}

// search looks for values in a running container, from beside it and with the
// privileges to read all there is: every file, and environment, arguments and
// memory of every process. It returns where each value is, and how many
// processes there were. The values go in by standard input.
func search(t *testing.T, containerName string, values ...string) (found [][]string, processes int) {
	t.Helper()
	cmd := exec.Command("docker", "run", "--rm", "-i", "--pid", "container:"+containerName,
		"--cap-add", "SYS_PTRACE", "--cap-add", "DAC_READ_SEARCH",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
		probeImage, "grep", "-root", "/proc/1/root/")
	return grepWith(t, containerName, cmd, values...)
}

// grepWith runs the probe's search where a command brings it.
func grepWith(t *testing.T, where string, cmd *exec.Cmd, values ...string) (found [][]string, processes int) {
	t.Helper()
	cmd.Stdin = strings.NewReader(strings.Join(values, "\n"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("search %s: %v", where, err)
	}
	all := parse(t, string(out))
	if len(all) == 0 || all[len(all)-1].Attempt != "grep summary" {
		t.Fatalf("the search of %s did not finish: %s", where, out)
	}
	t.Logf("searched %s: %s", where, all[len(all)-1].Detail)
	summary := all[len(all)-1].Detail
	if _, err := fmt.Sscanf(summary[strings.Index(summary, ",")+1:], "%d processes", &processes); err != nil {
		t.Fatalf("the search said %q: %v", summary, err)
	}
	found = make([][]string, len(values))
	for _, a := range all[:len(all)-1] {
		var n int
		if _, err := fmt.Sscanf(a.Detail, "value %d", &n); a.Out && err == nil {
			found[n] = append(found[n], a.Target)
		}
	}
	return found, processes
}

func baseImage() string {
	if image := os.Getenv("BB_BASE_IMAGE"); image != "" {
		return image
	}
	return "debian:bookworm-slim"
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
