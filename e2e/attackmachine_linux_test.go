package e2e_test

import (
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/hack/fakesmol"
)

// sharedKernel are variants about doors of a kernel: a machine has one of its
// own, and only the fake's guest shares this one's. All else of the list is
// judged. Where vsock leads in a real machine TestBoots asks, where one boots.
var sharedKernel = []string{
	"vsock", "unshare", // of hack/attack
	// The first process of a machine is its root, whose set this is; with
	// no_new_privs, which is judged, no program is ever given anything of it.
	"capabilities that a program could ever be given",
	"vsock stream socket", "vsock datagram socket", "io_uring", "af_alg socket", // of hack/probe
	"user namespace clone", "user namespace unshare",
}

// machines are bottles in machines of the fake, whose sidecars are in a place.
type machines struct {
	t      *testing.T
	h      *home
	p      *place
	fake   *fakesmol.Fake
	before []socket
}

func (m *machines) push(agent, file string) string {
	m.t.Helper()
	to := "/home/node/" + filepath.Base(file)
	m.h.must("cp", file, agent+":"+to)
	return to
}

func (m *machines) sidecar(string) string { return m.p.name }

func (m *machines) listens(string) (found []string) {
	for _, s := range listening(m.t, m.p.pid) {
		if !slices.Contains(m.before, s) {
			found = append(found, s.name)
		}
	}
	return found
}

func (m *machines) life(string) string { return fmt.Sprint(sidecarsOf(m.t, m.h)) }

// search enters the machine beside its agent, with the power of its root.
func (m *machines) search(agent string, values ...string) ([][]string, int) {
	m.t.Helper()
	box, err := boxOf(m.fake.Process(containerName(m.t, m.h, agent)))
	if err != nil {
		m.t.Fatal(err)
	}
	return grepWith(m.t, agent, exec.Command("nsenter", "--target", box, "--mount", "--pid", "--", m.push(agent, probeBinary), "grep"), values...)
}

// records are what this machine keeps of a bottle, and what its processes and bb show.
func (m *machines) records(agent string) string {
	m.t.Helper()
	var all strings.Builder
	for _, dir := range append(m.h.machineData(), m.h.dir+"/state") {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() == "images" || !d.Type().IsRegular() {
				return nil //nolint:nilerr // what goes away meanwhile is no record
			}
			if info, err := d.Info(); err == nil && info.Size() < 4<<20 {
				b, _ := os.ReadFile(path)
				all.Write(b)
			}
			return nil
		})
		if err != nil {
			m.t.Fatal(err)
		}
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well formed
	for _, file := range lines {
		b, _ := os.ReadFile(file)
		all.Write(b)
	}
	for _, args := range [][]string{{"ps", "--json"}, {"logs", agent}, {"logs", "--sidecar", agent}, {"logs", "--egress", agent}, {"plan", "--json"}} {
		all.WriteString(m.h.run(args...).all())
	}
	return all.String()
}

// TestAttackListInAMachine runs the attack list from a shell in a machine, whose
// sidecar is a process in a place with a loopback, a metadata service, a
// resolver and an outside that all write down what reaches them.
func TestAttackListInAMachine(t *testing.T) {
	u, id := outside(t)
	u.machines = true
	p := newPlace(t, u.network)
	h, fake := machineHome(t, p)
	h.env = append(h.env, "BB_BACKEND=smolvm")
	trap := trapAt(t, p)
	a := newAttacked(t, u, id, h, &machines{t, h, p, fake, listening(t, p.pid)})
	a.rows, a.meaningless = maps.Clone(attackRows), sharedKernel
	for _, row := range []string{"D5", "D6"} {
		a.rows[row] = "fails before there is a bottle, on every backend: TestAttackList"
	}
	ports := watchPorts(t, h, p)
	a.up()
	a.watches()
	together(func() { a.inside("rows") }, a.shell, a.probed, a.emptyList)
	together(a.listens, a.secrets, a.logged)
	a.changes()
	a.tunnels()
	// Processes and memory are bounded by a machine's own kernel, and the fake's
	// is this one: what its sidecar is asked for is tried.
	a.floods("connections", "heads", "handshakes", "bodies", "queries")
	a.judgeUpstream()
	a.judgeWatches()
	for _, row := range []string{"E1", "E3", "E4"} {
		heard := trap()
		a.judge(row, "what the loopback and the metadata service of the sidecar's host heard", "nothing", fmt.Sprint(len(heard), " ", heard), len(heard) == 0)
	}
	ports.ends()
	a.inTheMachine()
	a.table()
}

// trapAt opens a place to whom can reach it: servers on its loopback and at the
// address of clouds' metadata services. What they were asked is returned, after
// it was shown that they would notice.
func trapAt(t *testing.T, p *place) (heard func() []string) {
	t.Helper()
	const metadata = "169.254.169.254"
	p.own(t, [4]byte{169, 254, 169, 254})
	name := "trap-" + random(4)
	container(t, name, "--network", "container:"+p.name, upstreamImage, "-name", "trap.example")
	for _, address := range []string{metadata + ":80", metadata + ":443", "127.0.0.1:80", "127.0.0.1:443", p.ip + ":80"} {
		eventually(t, "the trap listens at "+address, func() bool { return p.reaches(address) == nil })
	}
	err := p.do(func() error {
		c, err := net.DialTimeout("tcp", metadata+":80", time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("GET /control HTTP/1.1\r\nHost: " + metadata + "\r\n\r\n"))
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	said := func() string {
		out, err := exec.Command("docker", "logs", name).CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if !strings.Contains(said(), "/control") {
		t.Fatalf("the trap hears nothing: %s", said())
	}
	before := said()
	return func() []string { return slices.Collect(strings.Lines(strings.TrimPrefix(said(), before))) }
}

// inTheMachine looks at what is lent to it: one socket, and no directory of bb's.
func (a *attacked) inTheMachine() {
	b := bottle{a.t, a.h, a.agent}
	got := strings.TrimSpace(b.must("find / -xdev -type s 2>/dev/null; find /run /bb /tmp /dev -type s 2>/dev/null | sort -u"))
	sockets := slices.Compact(slices.Sorted(strings.FieldsSeq(got)))
	a.judge("E4", "sockets in the machine", "the door's", fmt.Sprint(sockets), len(sockets) == 1 && strings.HasSuffix(sockets[0], "/door.sock"))
	got = b.must("ls -d " + a.h.dir + " " + a.h.dir + "/state /run/bb/ctl /var/lib/bb/ca 2>/dev/null; true")
	a.judge("E4", "directories of bb's in the machine", "none", got, got == "")
}
