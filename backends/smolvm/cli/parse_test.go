package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/diag"
)

func TestParseVersion(t *testing.T) {
	for out, want := range map[string]Version{
		"smolvm 1.9.2\n":        {1, 9, 2},
		"smolvm 1.32.2":         {1, 32, 2},
		"smolvm 1.8.0-rc1\n":    {1, 8, 0},
		"note: x\nsmolvm 2.0.0": {2, 0, 0},
		"smolvm 1.9.2\r\n":      {1, 9, 2},
	} {
		if got, err := ParseVersion(out); err != nil || got != want {
			t.Errorf("ParseVersion(%q) = %v, %v, want %v", out, got, err, want)
		}
	}
	for _, out := range []string{"", "smolvm", "smolvm 1.9", "xsmolvm 1.9.2", "smolvm 1.9.2.3", "SmolVM CLI 0.0.9", "smolvm 9999999.0.0"} {
		if got, err := ParseVersion(out); err == nil {
			t.Errorf("ParseVersion(%q) = %v", out, got)
		}
	}
	for _, old := range []Version{{1, 7, 7}, {0, 99, 99}} {
		if !old.Less(MinVersion) {
			t.Errorf("%v is new enough", old)
		}
	}
	for _, fine := range []Version{{1, 8, 0}, {1, 8, 1}, {1, 10, 0}, {2, 0, 0}} {
		if fine.Less(MinVersion) {
			t.Errorf("%v is too old", fine)
		}
	}
}

func TestParseFeatures(t *testing.T) {
	f := ParseFeatures(`
Options:
  -n, --name <NAME>
          Read it back with --ls
      --label <KEY=VALUE>  Attach, e.g. --inner
      --net
`)
	for flag, want := range map[string]bool{"--name": true, "--label": true, "--net": true, "--ls": false, "--inner": false, "--lab": false} {
		if f.Has(flag) != want {
			t.Errorf("Has(%s) = %v", flag, !want)
		}
	}
	if diff := cmp.Diff([]string{"--mount-socket", "--image", "--cpus", "--mem", "--storage", "--overlay", "--volume"}, f.lacks()); diff != "" {
		t.Error(diff)
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "9": true, "bb-dev_2-0a1b2c": true, "A_b": true, "a_": true, strings.Repeat("a", 128): true,
		"": false, "-a": false, "_a": false, "a-": false, "a--b": false, "a.b": false, "a b": false, "a\n": false,
		"a/b": false, "ä": false, "a:b": false, strings.Repeat("a", 129): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
}

func TestCreateArgs(t *testing.T) {
	full := Spec{
		Name: "bb-dev-0a1b2c", Labels: map[string]string{"bb.spec": "v1:ab", "a": "x=y --net\nz"},
		Image: Image{Archive: "/cache/a.tar"}, CPUs: 2, Memory: 1024, Storage: 5, Overlay: 3,
		Sockets: []Mount{{Host: "/run/bb/door.sock", Guest: "/bb/door/door.sock"}},
		Volumes: []Mount{{Host: "/srv/bin", Guest: "/bb/bin", ReadOnly: true}, {Host: "/srv/w", Guest: "/w"}},
		Workdir: "/home/node", Command: []string{"/bb/bin/bb", "door", "init", "--name=evil"},
	}
	got, err := full.args()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"machine", "create", "--name=bb-dev-0a1b2c", "--label=a=x=y --net\nz", "--label=bb.spec=v1:ab", "--image=/cache/a.tar",
		"--cpus=2", "--mem=1024", "--storage=5", "--overlay=3", "--mount-socket=/run/bb/door.sock:/bb/door/door.sock",
		"--volume=/srv/bin:/bb/bin:ro", "--volume=/srv/w:/w", "--workdir=/home/node", "--", "/bb/bin/bb", "door", "init", "--name=evil",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for what, change := range map[string]func(*Spec){
		"name":               func(s *Spec) { s.Name = "a--b" },
		"empty label":        func(s *Spec) { s.Labels = map[string]string{"": "x"} },
		"label with =":       func(s *Spec) { s.Labels = map[string]string{"a=b": "x"} },
		"long label":         func(s *Spec) { s.Labels = map[string]string{"a": strings.Repeat("x", 1<<17)} },
		"NUL":                func(s *Spec) { s.Labels = map[string]string{"a": "\x00"} },
		"negative cpus":      func(s *Spec) { s.CPUs = -1 },
		"little memory":      func(s *Spec) { s.Memory = 63 },
		"relative archive":   func(s *Spec) { s.Image = Image{Archive: "a.tar"} },
		"colon in archive":   func(s *Spec) { s.Image = Image{Archive: "/a:b.tar"} },
		"two images":         func(s *Spec) { s.Image.Dir = "/x" },
		"pack":               func(s *Spec) { s.Image = Image{Pack: "/x.tar"} },
		"reference as path":  func(s *Spec) { s.Image = Image{Ref: "./x"} },
		"reference as flag":  func(s *Spec) { s.Image = Image{Ref: "--net"} },
		"reference as file":  func(s *Spec) { s.Image = Image{Ref: "x.tar"} },
		"relative socket":    func(s *Spec) { s.Sockets[0].Host = "door.sock" },
		"guest path":         func(s *Spec) { s.Sockets[0].Guest = "/a;b" },
		"guest path up":      func(s *Spec) { s.Sockets[0].Guest = "/a/../b" },
		"relative in guest":  func(s *Spec) { s.Sockets[0].Guest = "a" },
		"mounted twice":      func(s *Spec) { s.Volumes[0].Guest = s.Sockets[0].Guest },
		"volume with colon":  func(s *Spec) { s.Volumes[0].Guest = "/x:rw" },
		"too many sockets":   func(s *Spec) { s.Sockets = make([]Mount, 65) },
		"nothing to pull":    func(s *Spec) { s.Pull = true },
		"relative directory": func(s *Spec) { s.Workdir = "x" },
	} {
		s := full
		s.Sockets, s.Volumes = append([]Mount{}, full.Sockets...), append([]Mount{}, full.Volumes...)
		change(&s)
		if args, err := s.args(); err == nil {
			t.Errorf("%s: no error: %q", what, args)
		}
	}
	got, err = Spec{Name: "a", Image: Image{Ref: "x"}, Pull: true}.args()
	if diff := cmp.Diff([]string{"machine", "create", "--name=a", "--image=x", "--net", "--net-backend=virtio-net"}, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if got, err := (Spec{Name: "a", Image: Image{Ref: "docker.io/library/debian:12"}}).args(); err != nil || len(got) != 4 || got[3] != "--image=docker.io/library/debian:12" {
		t.Errorf("%q, %v", got, err)
	}
}

// No flag that the client can make opens a network or carries a variable.
func TestNoArgumentOpensAMachine(t *testing.T) {
	s := Spec{Name: "a", Labels: map[string]string{"--net": "--allow-cidr=0.0.0.0/0"}, Command: []string{"--net", "-p", "1:1"}}
	args, err := s.args()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range args {
		if a == "--" {
			return // all that follows is the command
		}
		for _, bad := range []string{"--net", "--allow", "--dns", "--port", "-p", "--env", "-e", "--secret", "--outbound"} {
			if strings.HasPrefix(a, bad) {
				t.Errorf("create with %s", a)
			}
		}
	}
	t.Error("no -- before the command")
}

func TestParseList(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		name, in string
		want     []Machine
	}{
		{"empty", "[]", []Machine{}},
		{"least", `[{"name":"a","state":"created"}]`, []Machine{{Name: "a", State: Created, Labels: map[string]string{}}}},
		{
			"whole, sorted", `[{"name":"b","state":"running","labels":{},"pid":7,"network":true},
			{"name":"a","state":"stopped","cpus":2,"memory_mib":512,"storage_gb":5,"overlay_gb":null,"image":"local:ab","created_at":1755800000,
			"labels":{"k":"v=w"},"network":false,"pid":null,"mounts":[{"new":"shape"}],"never_seen":{"x":[1]}}]`,
			[]Machine{
				{
					Name: "a", State: Stopped, CPUs: 2, Memory: 512, Storage: 5, Image: "local:ab", Labels: map[string]string{"k": "v=w"},
					CreatedAt: time.Unix(1755800000, 0).UTC(), Network: &no,
				},
				{Name: "b", State: Running, PID: 7, Labels: map[string]string{}, Network: &yes},
			},
		},
		{"what only informs has another shape", `[{"name":"a","state":"new_state","labels":null,"pid":"x","cpus":{},"created_at":"now","network":"off","image":{}}]`, []Machine{{Name: "a", State: "new_state", Labels: map[string]string{}}}},
	} {
		got, err := ParseList([]byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if State("new_state").Known() || !Frozen.Known() {
		t.Error("which states are known is wrong")
	}
	for _, in := range []string{
		"", "null", "{}", "[", `[{"name":"a","state":"created"}`, `[{"name":"a"}]`, `[{"state":"created"}]`, `[{"name":"","state":"created"}]`,
		`[{"name":1,"state":"created"}]`, `[{"name":null,"state":"created"}]`, `[{"name":"a","state":"created","labels":[]}]`, `[{"name":"a","state":"created","labels":{"a":1}}]`,
		`[] []`, `[{"name":"a","state":"created"},{"name":"a","state":"created"}]`, "[]x",
	} {
		if got, err := ParseList([]byte(in)); err == nil {
			t.Errorf("ParseList(%q) = %v", in, got)
		}
	}
	for _, in := range []string{"", "[", `[{"name":"a`, `{"na`} {
		if _, err := ParseList([]byte(in)); in != `{"na` && !errors.Is(err, errCut) {
			t.Errorf("ParseList(%q): %v is not noticed as cut", in, err)
		}
	}
}

func TestParseMachine(t *testing.T) {
	if m, err := ParseMachine([]byte(`{"name":"a","state":"unreachable","labels":{"k":"v"}}`)); err != nil || m.State != Unreachable || m.Labels["k"] != "v" {
		t.Errorf("%+v, %v", m, err)
	}
	for _, in := range []string{"", "null", "[]", `{"name":"a"}`} {
		if m, err := ParseMachine([]byte(in)); err == nil {
			t.Errorf("ParseMachine(%q) = %+v", in, m)
		}
	}
}

func FuzzParseList(f *testing.F) {
	for _, seed := range []string{"[]", `[{"name":"a","state":"running","labels":{"k":"v"},"pid":1}]`, "[{", `[{"name":"a","state":"created","labels":null}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		machines, err := ParseList(in)
		if err != nil {
			if machines != nil {
				t.Error("machines beside an error")
			}
			return
		}
		for i, m := range machines {
			if m.Name == "" || m.State == "" || m.Labels == nil {
				t.Errorf("a machine that says nothing: %+v", m)
			}
			if i > 0 && machines[i-1].Name >= m.Name {
				t.Error("not sorted, or twice")
			}
		}
		// The same bytes, cut anywhere, are never a shorter list.
		for n := range len(in) {
			if cut, err := ParseList(in[:n]); err == nil && len(cut) != len(machines) {
				t.Errorf("%q passes for a list", in[:n])
			}
			if n > 200 {
				break
			}
		}
	})
}

// Every way to fail that smolvm has, in its words.
func TestFailure(t *testing.T) {
	for _, c := range []struct {
		code   int
		stderr string
		kind   Kind
		says   string
	}{
		{1, "Error: vm not found: a\n", NotFound, "vm not found: a"},
		{1, "Error: config operation failed: machine status: machine 'a' not found\n", NotFound, "not found"},
		{1, "Error: config operation failed: create machine: machine 'a' already exists or is being created\n", Exists, "already exists"},
		{1, "Error: agent operation failed: connect: machine 'a' is not running. Use 'smolvm machine start --name a' first.\n", NotRunning, "not running"},
		{1, "Error: agent operation failed: connect: machine 'a' is not running. Start it with 'x'; if a start is already in progress, retry once it finishes.\n", NotRunning, "not running"},
		{1, "Error: invalid vm state: expected stopped, got running\n", BadState, "expected stopped"},
		{1, "Error: config operation failed: validate resources: CPU count must be at least 1\n", Config, "CPU count"},
		{1, "Error: config operation failed: --label: expected KEY=VALUE, got 'v'\n", Config, "KEY=VALUE"},
		{1, "Error: vm creation failed: x\n", Other, "vm creation failed: x"},
		{1, "Error: storage operation failed: a: b\n", Storage, "a: b"},
		{1, "Error: database operation failed: a: b\n", Storage, "a: b"},
		{1, "Error: io operation failed: no space left on device\n", Storage, "no space"},
		{1, "Error: mount operation failed: a: b\n", MountFailed, "a: b"},
		{1, "Error: mount source not found: /x\n", MountFailed, "/x"},
		{1, "Error: invalid mount path: relative\n", MountFailed, "relative"},
		{1, "Error: hypervisor not available: x\n", NoHypervisor, "x"},
		{1, "Error: kvm not available: /dev/kvm\n", NoKVM, "/dev/kvm"},
		{1, "Error: kvm permission denied: /dev/kvm\n", KVMDenied, "/dev/kvm"},
		{1, "Error: agent operation failed: start machine: agent operation failed: monitor agent: libkrun detail: KvmContext(KvmOpen(Error(13)))", KVMDenied, "KvmOpen"},
		{1, "Error: agent operation failed: start machine: KvmContext(KvmOpen(Error(2)))", NoKVM, "KvmOpen"},
		{1, "Error: agent operation failed: connect: machine 'a' is unreachable", Silent, "unreachable"},
		{1, "Error: agent operation failed: exec: broken\n", Agent, "broken"},
		{1, "Error: something new\n", Other, "something new"},
		{1, "note: x\n\x1b[2m2026\x1b[0m WARN y\nError: vm not found: a\n", NotFound, "vm not found: a"},
		{1, "Error: first\nmore\nError: vm not found: a\nand this\n", NotFound, "vm not found: a and this"},
		{1, "oops\n", Other, "oops"},
		{1, "", Other, "ended with 1 and said nothing"},
		{2, "error: unexpected argument '-n' found\n\n  tip: x\n\nUsage: smolvm machine exec [OPTIONS] <COMMAND>...\n", Usage, "unexpected argument '-n' found"},
		{2, "error: the command's own\n", Other, "the command's own"},
		{137, "", Killed, "137"},
		{137, "Error: vm not found: a\n", Killed, "137"},
		{1, "Error: \x1b]0;title\x07vm not found: \x1b[31ma\u009b\x9b\n", NotFound, "vm not found: a"},
	} {
		e := failure("machine x", "a", c.code, c.stderr)
		if e.Kind != c.kind || !strings.Contains(e.Error(), c.says) {
			t.Errorf("%d %q: kind %s, %s", c.code, c.stderr, e.Kind, e.Error())
		}
		if strings.ContainsAny(e.Error(), "\x1b\n\x07\u009b") {
			t.Errorf("%q acts on a terminal", e.Error())
		}
		var d diag.Diagnostic
		if !errors.As(e, &d) || d.Message == "" || d.Hint == "" && c.kind != Other && c.kind != Config {
			t.Errorf("%q: no diagnostic with a next step: %+v", c.stderr, d)
		}
	}
}

func TestTailAndHead(t *testing.T) {
	tl, hd := &tail{max: 4}, &head{max: 4}
	for _, s := range []string{"ab", "cdefghij", "k"} {
		_, _ = tl.Write([]byte(s))
		_, _ = hd.Write([]byte(s))
	}
	if tl.String() != "hijk" || hd.buf.String() != "abcd" || !hd.over {
		t.Errorf("%q, %q, %v", tl.String(), hd.buf.String(), hd.over)
	}
}
