package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate"
)

const testHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

// remotes makes a document one with an ssh and an https upstream.
func remotes(d *egress.Document) {
	d.Remotes = []egress.Remote{
		{Name: "origin", Upstream: "ssh://git@git.example.com/a.git", HostKey: testHostKey, Slot: "GIT_CREDENTIAL_0"},
		{Name: "forge", Upstream: "https://git.example.com/b.git", Slot: "GIT_CREDENTIAL_1"},
	}
	d.Tokens["GIT_CREDENTIAL_0"] = egress.Token{Value: "ssh-agent " + testHostKey, Digest: "g0"}
	d.Tokens["GIT_CREDENTIAL_1"] = egress.Token{Value: "token-of-the-forge", Digest: "g1"}
}

func openSSHKey(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen (package openssh-client): %v\n%s", err, out)
	}
	key, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

// door is a listener on loopback that speaks a service's preface, as bb init
// does in a bottle.
func (r *running) door(t *testing.T, service string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				up, err := net.Dial("unix", r.opts.DoorSocket)
				if err != nil {
					return
				}
				defer up.Close()
				if _, err := io.WriteString(up, egress.Preface(service)); err != nil {
					return
				}
				go func() { _, _ = io.Copy(up, conn) }()
				_, _ = io.Copy(conn, up)
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// git runs the real one, without anything of the host's configuration.
func git(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Git shows why: without a policy, and where too many clients are there.
func TestGitReadsARefusal(t *testing.T) {
	r := start(t, nil)
	gate := r.door(t, egress.ServiceGit)
	if out, err := git(t, "ls-remote", gate+"/origin.git"); err == nil || !strings.Contains(out, "remote: git gate: "+noPolicy) {
		t.Errorf("unconfigured: %v\n%s", err, out)
	}
	if len(r.gate.docs) != 0 {
		t.Error("the gate has a document that nobody sent")
	}
	if _, err := r.ctl(t, CommandApply, document(remotes)); err != nil {
		t.Fatal(err)
	}
	for range maxGitConns {
		conn := dialUnix(t, r.opts.DoorSocket)
		if _, err := io.WriteString(conn, egress.Preface(egress.ServiceGit)+"x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatalf("the gate does not answer: %v", err)
		}
	}
	if out, err := git(t, "ls-remote", gate+"/origin.git"); err == nil || !strings.Contains(out, "remote: git gate: too many connections") {
		t.Errorf("a flood: %v\n%s", err, out)
	}
	// The proxy's clients do not notice, nor does the host.
	conn := dialUnix(t, r.opts.DoorSocket)
	if _, err := io.WriteString(conn, egress.Preface(egress.ServiceProxy)+"y"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Errorf("the proxy does not answer: %v", err)
	}
	if _, err := r.ctl(t, CommandGet, nil); err != nil {
		t.Error(err)
	}
}

func TestGateDirectories(t *testing.T) {
	r := start(t, func(o *Options) {
		for _, dir := range []string{filepath.Join(o.CADir, "git"), filepath.Join(filepath.Dir(o.ControlSocket), "git")} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	})
	o := r.gate.opts
	if diff := cmp.Diff([]string{filepath.Join(r.opts.CADir, "git"), filepath.Join(filepath.Dir(r.opts.ControlSocket), "git")}, []string{o.Dir, o.RunDir}); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, dir := range []string{o.Dir, o.RunDir} {
		if info, err := os.Stat(dir); err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v %v", dir, info.Mode(), err)
		}
	}
	if info, err := os.Stat(o.Self); err != nil || info.Mode()&0o100 == 0 {
		t.Errorf("self %q: %v", o.Self, err)
	}
	bad := sockets(t)
	bad.GitDir = filepath.Join(filepath.Dir(bad.DoorSocket), "git")
	if err := Run(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "git directory must not lie in the door's directory") {
		t.Errorf("mirrors beside the door: %v", err)
	}
}

// A document is in force in both rooms, or in none.
func TestSwapIsOne(t *testing.T) {
	proxy, gate, out := &fakeProxy{}, &fakeGate{}, &bytes.Buffer{}
	s := newState(proxy, Options{Stdout: out})
	s.gate = gate
	if err := s.apply(document(remotes)); err != nil {
		t.Fatal(err)
	}
	said := out.String()
	key := openSSHKey(t)
	second := document(func(d *egress.Document) {
		remotes(d)
		d.Tokens["GIT_CREDENTIAL_0"] = egress.Token{Value: key, Digest: "g2"}
	})
	private := egress.Needles("GIT_CREDENTIAL_0", key)[0]
	for name, fail := range map[string]func(error){
		"gate":  func(err error) { gate.fail = func(egress.Document) error { return err } },
		"proxy": func(err error) { proxy.fail = func(egress.Document) error { return err } },
	} {
		for text, want := range map[string]string{
			"not this one":        "document refused: not this one",
			"line 4: " + private:  "document refused, for a reason that quotes a token",
			"token-of-the-forge?": "document refused, for a reason that quotes a token",
		} {
			fail(errors.New(text))
			if err := s.apply(second); err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
		proxy.fail, gate.fail = nil, nil
	}
	if len(proxy.docs) != 1 || len(gate.docs) != 1 || proxy.pending != 0 || out.String() != said ||
		s.document().Tokens["GIT_CREDENTIAL_0"].Digest != "g0" || s.vault.secrets()["GIT_CREDENTIAL_0"].digest != "g0" {
		t.Errorf("a refused document left something: proxy %d, gate %d, pending %d\n%s", len(proxy.docs), len(gate.docs), proxy.pending, out)
	}
	if err := s.apply(second); err != nil {
		t.Fatal(err)
	}
	// Kept by its digest, under another number.
	third := document(func(d *egress.Document) {
		remotes(d)
		d.Remotes[0].Slot = "GIT_CREDENTIAL_7"
		delete(d.Tokens, "GIT_CREDENTIAL_0")
		d.Tokens["GIT_CREDENTIAL_7"] = egress.Token{Keep: "g2"}
	})
	if err := s.apply(third); err != nil {
		t.Fatal(err)
	}
	if got := gate.docs[2].Tokens["GIT_CREDENTIAL_7"].Value; got != key {
		t.Errorf("the gate got %q", got)
	}
	shown, err := json.Marshal(s.document())
	if err != nil || strings.Contains(string(shown)+out.String(), private) || !strings.Contains(string(shown), testHostKey) {
		t.Errorf("shown: %s, %v", shown, err)
	}
}

func TestRemotesAreJudged(t *testing.T) {
	tests := map[string]struct {
		change edit
		want   string
	}{
		"no credential":   {func(d *egress.Document) { delete(d.Tokens, "GIT_CREDENTIAL_0") }, "a remote has no token for its slot"},
		"malformed":       {func(d *egress.Document) { d.Remotes[0].Upstream = "ext::sh -c x" }, "remote origin: upstream: neither"},
		"token for ssh":   {func(d *egress.Document) { d.Remotes[0].Slot = "GIT_CREDENTIAL_1" }, "an ssh upstream needs a private key"},
		"key for https":   {func(d *egress.Document) { d.Remotes[1].Slot = "GIT_CREDENTIAL_0" }, "an https upstream needs a token"},
		"key for a route": {func(d *egress.Document) { d.Routes[0].Auth.Slot = "GIT_CREDENTIAL_1" }, "route 0: no token for its slot"},
		"key for the parent": {func(d *egress.Document) {
			d.Parent = &egress.Parent{URL: "http://p:1", Slot: "GIT_CREDENTIAL_1"}
		}, "parent: no token for its slot"},
		"lines in a token": {func(d *egress.Document) {
			d.Tokens["GIT_CREDENTIAL_1"] = egress.Token{Value: "token-of-the\nforge"}
		}, "line break"},
		"lines in a route's token": {func(d *egress.Document) {
			d.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: openSSHKey(t)}
		}, "line break"},
		"kept as another kind":     {func(d *egress.Document) { d.Tokens["EGRESS_TOKEN_0"] = egress.Token{Keep: "key"} }, "line break"},
		"a key as a digest's text": {func(d *egress.Document) { d.Live["x"] = "token-of-the-forge" }, "outside of its slot"},
	}
	for name, tt := range tests {
		s := newState(&fakeProxy{}, Options{})
		s.vault.replace(map[string]secret{"GIT_CREDENTIAL_0": {"GIT_CREDENTIAL_0", openSSHKey(t), "key"}})
		err := s.apply(document(func(d *egress.Document) { remotes(d); tt.change(d) }))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// Pushes have a log of their own, beside the other.
func TestGitLog(t *testing.T) {
	r := start(t, nil)
	if _, err := r.ctl(t, CommandApply, document(remotes)); err != nil {
		t.Fatal(err)
	}
	r.log(map[string]string{"host": "a"})
	// Said while one document takes the place of another, with values of both.
	r.gate.fail = func(egress.Document) error {
		r.gate.opts.Log(gitgate.Entry{
			Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Remote: "forge", Ref: "refs/heads/x",
			New: strings.Repeat("a", 40), Verdict: gitgate.Refused, Reason: "it says token-of-the-forge, another-token", MS: 7,
		})
		r.gate.opts.Note("noted: token-of-the-forge, another-token")
		return nil
	}
	if _, err := r.ctl(t, CommandApply, document(func(d *egress.Document) {
		remotes(d)
		d.Tokens["GIT_CREDENTIAL_1"] = egress.Token{Value: "another-token", Digest: "g5"}
	})); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.stderr.String(), "noted: [redacted], [redacted]\n") {
		t.Errorf("noted %s", r.stderr)
	}
	r.gate.opts.Log(gitgate.Entry{Remote: "forge", Ref: strings.Repeat("r", 5<<10), Verdict: gitgate.Refused})
	want := []string{`{"time":"2026-01-02T03:04:05Z","instance":"bb-dev-0a1b2c","remote":"forge","ref":"refs/heads/x","new":"` +
		strings.Repeat("a", 40) + `","verdict":"refused","reason":"it says [redacted], [redacted]","ms":7}`, `{"time":"0001-01-01T00:00:00Z","instance":"bb-dev-0a1b2c","remote":"forge","ref":"(5120 bytes)","verdict":"refused","ms":0}`}
	var got []string
	for end := time.Now().Add(deadline); len(got) < 2 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		got = nil
		for x := r.read(t, egress.LogRequest{Log: egress.LogGit}); x.lines.Scan(); {
			got = append(got, x.lines.Text())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("git log (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{`{"host":"a"}`}, r.lines(t, 1)); diff != "" {
		t.Errorf("access log (-want +got)\n%s", diff)
	}
	files, err := filepath.Glob(filepath.Join(r.opts.CADir, "log", "git.*"))
	if err != nil || len(files) != 1 {
		t.Errorf("files %q, %v", files, err)
	}
	var out bytes.Buffer
	if err := CtlLog(t.Context(), Control{Socket: r.opts.ControlSocket}, egress.LogRequest{Log: "../access"}, strings.NewReader(""), &out); err == nil {
		t.Errorf("a log that is none: %s", &out)
	}
}
