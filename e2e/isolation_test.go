package e2e_test

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestNothingGetsOut sends a probe into a bottle that tries every way out that
// is known, next to listeners that would notice. The same probe in a plain
// container is heard: the listeners and the probe are good.
func TestNothingGetsOut(t *testing.T) {
	ear := listen(t)
	u := newUpstream(t, "allowed.test")
	h := newHome(t)
	bottle := "agent_provider: {template: shell}\negress:\n" + u.egress() + "  routes:\n" + u.route("allowed.test", "")
	h.bottle("open", bottle)
	agent, other := h.agent("prober", "open", ""), h.agent("neighbour", "open", "")
	h.must("apply", "-y")

	plain := docker(t, "run", "--rm", "--network", u.network, probeImage,
		"escape", "-tcp", net.JoinHostPort(u.gateway, ear.port), "-udp", net.JoinHostPort(u.gateway, ear.port))
	for _, want := range []string{"tcp", "udp"} {
		if !slices.ContainsFunc(parse(t, plain), func(a attempt) bool { return a.Attempt == want && a.Out }) {
			t.Fatalf("a plain container does not reach this host by %s: the test would prove nothing\n%s", want, plain)
		}
	}
	if heard := ear.heard(); len(heard) == 0 {
		t.Fatal("the listeners heard nothing from a plain container")
	}
	ear.forget()

	args := ways(t, ear.port, address(t, containerOf(t, agent, true)), address(t, containerOf(t, other, true)))
	all := escape(t, h, agent, probeBinary, args)
	if len(all) < len(args) {
		t.Errorf("the probe made only %d attempts", len(all))
	}
	answered := func(a attempt) bool {
		return strings.HasPrefix(a.Attempt, "dns udp 127.0.0.53") && a.Detail == "rcode 3"
	}
	if !slices.ContainsFunc(all, answered) {
		t.Error("an unknown name is not answered with NXDOMAIN")
	}
	if probe386Binary != "" {
		escape(t, h, agent, probe386Binary, args)
	}
	if heard := ear.heard(); len(heard) > 0 {
		t.Errorf("this host was reached: %v", heard)
	}
	for _, a := range []string{agent, other} {
		if found := listeners(t, containerOf(t, a, true)); len(found) > 0 {
			t.Errorf("the sidecar of %s listens: %v", a, found)
		}
	}
}

// ways are the probe's arguments: everything that a bottle must not reach.
func ways(t *testing.T, port string, sidecars ...string) []string {
	t.Helper()
	args := []string{"escape", "-dns", "unknown.example.com", "-dns", "data.allowed.test"}
	targets := []string{"192.0.2.1:80", "192.0.2.1:443", "192.0.2.1:53", "[2001:db8::1]:443", "169.254.169.254:80"}
	for _, ip := range hostAddresses(t) {
		targets = append(targets, net.JoinHostPort(ip, port))
	}
	for _, sidecar := range sidecars {
		for _, p := range []string{"22", "53", "80", "443", "9099", "9100", "9420"} {
			args = append(args, "-tcp", net.JoinHostPort(sidecar, p))
		}
		targets = append(targets, net.JoinHostPort(sidecar, "53"))
	}
	for _, target := range targets {
		args = append(args, "-tcp", target, "-udp", target)
	}
	return args
}

// escape runs a probe in a bottle and fails for everything that got out.
func escape(t *testing.T, h *home, agent, binary string, args []string) []attempt {
	t.Helper()
	path := push(t, containerOf(t, agent, false), binary)
	r := h.run(append([]string{"exec", agent, "--", path}, args...)...)
	all := parse(t, r.stdout)
	// A filter may also end a 32-bit program at its first call.
	const killed = 128 + int(syscall.SIGSYS)
	if r.code != 0 && (binary != probe386Binary || r.code != killed || len(all) > 0) {
		t.Errorf("the probe did not finish: %s", r)
	}
	for _, a := range all {
		if a.Out {
			t.Errorf("%s got out: %s %s: %s", path, a.Attempt, a.Target, a.Detail)
		}
	}
	return all
}

// TestProxyIsTheOnlyWay asserts that an address is good for nothing: what is
// allowed is reached by name and through the sidecar.
func TestProxyIsTheOnlyWay(t *testing.T) {
	u := newUpstream(t, "allowed.test")
	h := newHome(t)
	h.bottle("open", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+u.route("allowed.test", ""))
	agent := h.agent("worker", "open", "")
	h.must("apply", "-y")

	h.must("exec", agent, "--", "curl", "-sSf", "--max-time", "10", "https://allowed.test/through")
	to := address(t, u.name)
	for _, c := range [][]string{
		{"curl", "-sSf", "--max-time", "5", "--noproxy", "*", "-k", "https://" + to + "/around"},
		{"curl", "-sSf", "--max-time", "5", "--noproxy", "*", "--connect-to", "::" + to + ":443", "https://allowed.test/around"},
		{"curl", "-sSf", "--max-time", "5", "https://" + to + "/around"},
	} {
		if r := h.run(append([]string{"exec", agent, "--"}, c...)...); r.code == 0 {
			t.Errorf("got out: %s", r)
		}
	}
	denied := h.run("exec", agent, "--", "curl", "-sS", "-i", "http://denied.test/")
	denied.says(t, "403", "egress: ", "denied.test")
	for _, s := range u.seen() {
		if s.Path != "/through" {
			t.Errorf("the outside saw %s %s", s.Method, s.Path)
		}
	}
}

// TestUnknownNamesAreNeverAsked watches every packet of a sidecar's network
// while a bottle asks for a name in every way it has. That a name which is
// allowed is seen proves that the watch works.
func TestUnknownNamesAreNeverAsked(t *testing.T) {
	id := random(6)
	allowed, unknown := "allowed-"+id, "unknown-"+id
	u := newUpstream(t, allowed+".test")
	h := newHome(t)
	h.bottle("open", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+u.route(allowed+".test", ""))
	agent := h.agent("asker", "open", "")
	h.must("apply", "-y")

	capture := "watch-" + id
	watch(t, capture, "container:"+containerOf(t, agent, true), "-marker", allowed, "-marker", unknown)

	probe := push(t, containerOf(t, agent, false), probeBinary)
	name := unknown + ".example.com"
	h.must("exec", agent, "--", probe, "escape", "-dns", name, "-dns", unknown)
	for _, c := range [][]string{
		{"getent", "hosts", name},
		{"curl", "-sSf", "--max-time", "5", "http://" + name + "/"},
		{"curl", "-sSf", "--max-time", "5", "https://" + name + "/"},
		{"curl", "-sSf", "--max-time", "5", "https://data." + allowed + ".test.example.com/"},
	} {
		if r := h.run(append([]string{"exec", agent, "--"}, c...)...); r.code == 0 {
			t.Errorf("an unknown name is good for something: %s", r)
		}
	}
	h.must("exec", agent, "--", "curl", "-sSf", "--max-time", "10", "https://"+allowed+".test/")

	asked := func(marker string) []attempt {
		return slices.DeleteFunc(parse(t, docker(t, "logs", capture)), func(a attempt) bool { return a.Target != marker })
	}
	eventually(t, "the question for an allowed name is seen", func() bool {
		return slices.ContainsFunc(asked(allowed), func(a attempt) bool { return strings.HasPrefix(a.Detail, "protocol 17") })
	})
	if packets := asked(unknown); len(packets) > 0 {
		t.Errorf("packets with an unknown name left: %+v", packets)
	}
}

// ear is what this host hears on one port, by TCP and by UDP, on every address.
type ear struct {
	port string
	mu   sync.Mutex
	from []string
}

func listen(t *testing.T) *ear {
	t.Helper()
	tcp, err := net.Listen("tcp", ":0") //nolint:gosec // every address is the point
	if err != nil {
		t.Fatal(err)
	}
	port := tcp.Addr().(*net.TCPAddr).Port
	udp, err := net.ListenPacket("udp", ":"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{port: strconv.Itoa(port)}
	t.Cleanup(func() {
		tcp.Close() //nolint:errcheck // it only listened
		udp.Close() //nolint:errcheck // it only listened
	})
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			e.note("tcp " + c.RemoteAddr().String())
			c.Close()
		}
	}()
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			e.note("udp " + from.String() + " " + string(b[:n]))
			udp.WriteTo(b[:n], from) //nolint:errcheck // the probe tells whether it arrived
		}
	}()
	return e
}

func (e *ear) note(s string) { e.mu.Lock(); defer e.mu.Unlock(); e.from = append(e.from, s) }
func (e *ear) forget()       { e.mu.Lock(); defer e.mu.Unlock(); e.from = nil }

func (e *ear) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.from)
}

// hostAddresses are all IPv4 addresses of this host that are not loopback:
// the gateways of every bridge are among them.
func hostAddresses(t *testing.T) []string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			out = append(out, ip.IP.String())
		}
	}
	return out
}

func address(t testing.TB, name string) string {
	t.Helper()
	return docker(t, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
}

// watch starts a capture of all that passes in a network, and returns once it
// captures. What it saw is in the container's log.
func watch(t *testing.T, name, network string, args ...string) {
	t.Helper()
	container(t, name, append([]string{"--network", network, probeImage, "sniff", "-for", "10m"}, args...)...)
	eventually(t, "the watch is ready", func() bool { return strings.Contains(docker(t, "logs", name), "sniff ready") })
}

// listeners are the TCP listeners of a container that a neighbour on its
// network could reach. The engine's own resolver listens on loopback.
func listeners(t *testing.T, name string) (found []string) {
	t.Helper()
	table := docker(t, "run", "--rm", "--network", "container:"+name, "--entrypoint", "/bin/cat",
		baseImage(), "/proc/net/tcp", "/proc/net/tcp6")
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		const listens, loopback11 = "0A", "0B00007F:"
		if len(f) > 3 && f[3] == listens && !strings.HasPrefix(f[1], loopback11) {
			found = append(found, f[1])
		}
	}
	return found
}
