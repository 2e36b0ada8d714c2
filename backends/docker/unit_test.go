package docker

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/google/go-cmp/cmp"
)

func TestTrustInBuild(t *testing.T) {
	in := "# FROM nothing\nARG V=1\nfrom --platform=$BUILDPLATFORM \\\n\n  # why\n  debian:$V as b\nRUN echo \\\n  FROM here\nFROM b\nRUN x"
	got := strings.Split(trustInBuild(in), "\n")
	var at []int
	for i, l := range got {
		if strings.HasPrefix(l, "COPY "+buildCAName) {
			at = append(at, i)
		}
	}
	if diff := cmp.Diff([]int{6, 16}, at); diff != "" {
		t.Errorf("lines of COPY (-want +got):\n%s\n%s", diff, strings.Join(got, "\n"))
	}
	if got := trustInBuild("# escape=`\nFROM a `\n as b\nRUN c"); !strings.Contains(got, " as b\nCOPY ") {
		t.Errorf("escape directive:\n%s", got)
	}
}

func TestFromImages(t *testing.T) {
	got := fromImages("ARG BASE=x\nARG V=\"12\"\nFROM ${BASE} AS one\nARG V=13\nFROM --platform=linux/amd64 debian:$V\nFROM one\nFROM scratch\nFROM img:${V:-3}\n", "base:1")
	if diff := cmp.Diff([]string{"base:1", "debian:12"}, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestIgnore(t *testing.T) {
	g, err := parseIgnore("# comment\nnode_modules\n*.log\n/build/\n**/tmp\n!keep.log\ndoc?/[ab]*\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"node_modules": true, "node_modules/a/b": true, "x/node_modules": false, "a.log": true,
		"keep.log": false, "x/a.log": false, "build": true, "build/out": true, "x/tmp/y": true,
		"tmp": true, "docs/abc": true, "docs/c": false, "main.go": false,
	} {
		if got := g.matches(name); got != want {
			t.Errorf("%s: ignored %v, want %v", name, got, want)
		}
	}
	if _, err := parseIgnore("[z"); err == nil {
		t.Error("a broken pattern is taken")
	}
}

func TestReadBinary(t *testing.T) {
	b, err := readBinary(testBinary)
	if err != nil || len(b.digest) != 12 {
		t.Fatalf("%+v, %v", b, err)
	}
	script := filepath.Join(t.TempDir(), "script")
	write(t, script, "#!/bin/sh\n")
	for path, want := range map[string]string{
		"": "no linux bb", script: "is no linux binary", script + "x": "no such file", "/bin/sh": "is not static",
	} {
		if _, err := readBinary(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--sidecar-binary") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestCheckSaysWhatIsMissing(t *testing.T) {
	for host, want := range map[string]string{
		"unix:///no/such.sock": "apt-get install docker.io",
		"tcp://127.0.0.1:1":    "no engine answers at tcp://127.0.0.1:1",
		"tcp://192.0.2.1:2375": "192.0.2.1",
	} {
		d, err := New(Options{Host: host, Owner: "o"})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		err = d.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", host, err)
		}
		if took := time.Since(start); took > d.at.patience()+time.Second {
			t.Errorf("%s took %s", host, took)
		}
	}
}

// fromDaemon is how the client begins what the engine said.
const fromDaemon = "Error response from daemon: "

func TestWrap(t *testing.T) {
	d, err := New(Options{Host: "tcp://127.0.0.1:1", Owner: "o"})
	if err != nil {
		t.Fatal(err)
	}
	_, gone := d.engine.ContainerInspect(t.Context(), "x")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{gone, "start x: the docker engine at tcp://127.0.0.1:1 went away (start it"},
		{io.ErrUnexpectedEOF, "went away"},
		{errors.New(fromDaemon + "no space left."), "start x: no space left"},
		{foreign("volume", "v"), "volume v exists and is not bb's (rename or remove it"},
	} {
		if got := d.wrap(tt.err, "start x").Error(); !strings.Contains(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestLowestNetwork(t *testing.T) {
	list := []network.Summary{{Name: "bb-egress", ID: "b"}, {Name: "x-bb-egress", ID: "0"}, {Name: "bb-egress", ID: "a"}}
	if got := lowest(list, SharedNetwork).ID; got != "a" {
		t.Errorf("lowest is %q", got)
	}
}

func TestLastLines(t *testing.T) {
	if got := lastLines("a\n\x1b[31mred\u202e\x07\n", 1); got != "red" {
		t.Errorf("got %q", got)
	}
}

func TestProfileIsWhole(t *testing.T) {
	text, err := os.ReadFile("seccomp.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"io_uring", `"socketcall"`, "SCMP_ARCH_X86\"", "CAP_", `"unshare"`, `"bpf"`, `"keyctl"`, `"mount"`} {
		if strings.Contains(string(text), no) {
			t.Errorf("the profile speaks of %s", no)
		}
	}
}

func TestReadsContext(t *testing.T) {
	for text, want := range map[string]bool{
		"FROM a\nRUN b":                           false,
		"FROM a\nCOPY . /x":                       true,
		"FROM a\nadd x /x":                        true,
		"FROM a AS b\nFROM c\nCOPY --from=b /x /": false,
		"FROM a\nRUN \\\n  COPY":                  false,
		"FROM a\nONBUILD COPY x /x":               true,
		"FROM a\n# COPY x /x":                     false,
		"FROM a\nRUN --mount=type=bind x":         true,
	} {
		if got := readsContext(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// bb's own state lies beside a Dockerfile that somebody put into BB_HOME.
func TestContextLeavesStateOut(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"Dockerfile", "app/state/x", "state/key"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := openContext(filepath.Join(dir, "Dockerfile"), filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := c.walk(func(name, _ string, _ fs.FileInfo) error { names = append(names, name); return nil }); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"app", "app/state", "app/state/x"}, names); d != "" {
		t.Error(d)
	}
}
