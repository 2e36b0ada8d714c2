package sidecar

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// standin builds the stand-in for pipelock.
func standin(t *testing.T, set ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipelock")
	flags := "-s -w"
	for _, s := range set {
		flags += " -X main." + s
	}
	cmd := exec.Command("go", "build", "-ldflags", flags, "-o", path, "../pipelock/internal/standin")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// processesOf lists the processes of a program.
func processesOf(binary string) []int {
	var out []int
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if to, _ := os.Readlink(link); to == binary {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			out = append(out, pid)
		}
	}
	return out
}

// piped is a sidecar with the real proxy and the stand-in.
func piped(t *testing.T, binary string) *running {
	t.Helper()
	return start(t, func(o *Options) {
		realProxy(o)
		o.Pipelock, o.PipelockDir = binary, filepath.Join(filepath.Dir(o.CADir), "pipelock")
	})
}

func wants(hosts ...string) []byte {
	doc := egress.Document{
		Version: 1, Instance: "bb-dev-0a1b2c", Live: map[string]string{"egress": "v1:aa"},
		Routes: []egress.Route{}, Tokens: map[string]egress.Token{}, Pipelock: true,
	}
	for _, h := range hosts {
		doc.Routes = append(doc.Routes, egress.Route{Host: h, Port: 443, Source: "bottle dev.md:4"})
	}
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return data
}

// The process follows the document: there with it, another for another policy,
// the same for the same, none without it; and never more than one is left.
func TestPipelockFollowsTheDocument(t *testing.T) {
	binary := standin(t)
	r := piped(t, binary)
	step := func(doc []byte) []int {
		t.Helper()
		if _, err := r.ctl(t, CommandApply, doc); err != nil {
			t.Fatal(err)
		}
		return processesOf(binary)
	}
	first := step(wants("a.example.com"))
	if len(first) != 1 {
		t.Fatalf("%v run", first)
	}
	if same := step(wants("a.example.com")); len(same) != 1 || same[0] != first[0] {
		t.Errorf("the same policy: %v, then %v", first, same)
	}
	if other := step(wants("a.example.com", "b.example.com")); len(other) != 1 || other[0] == first[0] {
		t.Errorf("another policy: %v, then %v", first, other)
	}
	if none := step(wants()); len(none) != 0 {
		t.Errorf("no route, and %v run", none)
	}
	if again := step(wants("a.example.com")); len(again) != 1 {
		t.Errorf("%v run", again)
	}
	if none := step(document(nil)); len(none) != 0 {
		t.Errorf("pipelock is off, and %v run", none)
	}
}

// A document whose process cannot be had changes nothing.
func TestPipelockRefusesTheDocument(t *testing.T) {
	binary := standin(t)
	r := piped(t, binary)
	if _, err := r.ctl(t, CommandApply, wants("a.example.com")); err != nil {
		t.Fatal(err)
	}
	before := processesOf(binary)
	parent := strings.Replace(string(wants("b.example.com")), `"pipelock":true`, `"pipelock":true,"parent":{"url":"http://192.0.2.1:3128"}`, 1)
	mixed := strings.Replace(string(wants("b.example.com", "*.example.com")), `"*.example.com","port":443`, `"*.example.com","port":443,"tls_passthrough":true`, 1)
	for doc, want := range map[string]string{
		parent: "parent proxy", mixed: "pipelock cannot tell apart",
	} {
		if _, err := r.ctl(t, CommandApply, []byte(doc)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
	if err := os.Rename(binary, binary+"-"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ctl(t, CommandApply, wants("b.example.com")); err == nil || !strings.Contains(err.Error(), "cannot be started") {
		t.Errorf("no program: %v", err)
	}
	reply, err := r.ctl(t, CommandGet, nil)
	if err != nil || reply.Document.Routes[0].Host != "a.example.com" {
		t.Errorf("%+v %v", reply.Document, err)
	}
	if after := processesOf(binary + "-"); len(after) != 1 || after[0] != before[0] {
		t.Errorf("%v, then %v", before, after)
	}
}

func TestNoPipelock(t *testing.T) {
	r := start(t, realProxy)
	if _, err := r.ctl(t, CommandApply, wants("a.example.com")); err == nil || !strings.Contains(err.Error(), "this sidecar has no pipelock") {
		t.Errorf("%v", err)
	}
	garbage := piped(t, standin(t, "version=garbage"))
	if _, err := garbage.ctl(t, CommandApply, wants("a.example.com")); err == nil || !strings.Contains(err.Error(), "which version") {
		t.Errorf("%v", err)
	}
	if strings.Contains(garbage.stdout.String(), `"configured"`) {
		t.Error("a refused document was announced")
	}
}

// Whatever it dies of and says meanwhile, the state stays among the last lines
// of both streams, where hosts look for it.
func TestPipelockDiesAndTheStateIsStillSaid(t *testing.T) {
	binary := standin(t)
	both := &syncBuffer{}
	r := start(t, func(o *Options) {
		realProxy(o)
		o.Stdout, o.Stderr = tee{o.Stdout, both}, tee{o.Stderr, both}
		o.Pipelock, o.PipelockDir = binary, filepath.Join(filepath.Dir(o.CADir), "pipelock")
	})
	if _, err := r.ctl(t, CommandApply, wants("a.example.com")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		was := processesOf(binary)
		if err := syscall.Kill(was[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(deadline); ; time.Sleep(5 * time.Millisecond) {
			if now := processesOf(binary); len(now) == 1 && now[0] != was[0] {
				break
			}
			if time.Now().After(end) {
				t.Fatal("it does not come back")
			}
		}
	}
	lines := strings.Split(strings.TrimSpace(both.String()), "\n")
	last := strings.Join(lines[max(0, len(lines)-8):], "\n")
	if len(lines) < 6 || !strings.Contains(last, `"state":"configured"`) {
		t.Errorf("the last lines are\n%s", last)
	}
}

type tee struct{ a, b io.Writer }

func (w tee) Write(p []byte) (int, error) {
	_, _ = w.b.Write(p)
	return w.a.Write(p)
}

func TestNotes(t *testing.T) {
	var out syncBuffer
	repeated := 0
	held := &vault{}
	held.replace(map[string]secret{"EGRESS_TOKEN_0": {value: secretValue}})
	n := &notes{w: &out, held: held, repeat: func() { repeated++ }}
	for i := range 7 {
		n.add("%d %s", i, secretValue)
	}
	if strings.Contains(out.String(), "9f3c") || strings.Count(out.String(), "\n") != 7 || repeated != 2 {
		t.Errorf("%d: %s", repeated, out.String())
	}
}
