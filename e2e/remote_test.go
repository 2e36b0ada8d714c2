package e2e_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEngineOverTLS takes bottles to an engine of the test's own that answers
// on tcp with mutual TLS, by DOCKER_HOST and by contexts.
func TestEngineOverTLS(t *testing.T) {
	h, agents := shellHome(t)
	certs := newAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	url := "tcp://" + l.Addr().String()
	_ = l.Close()
	t.Cleanup(func() { _ = listener.Close() })
	e := moveTo(t, h, agents[0], func() *engine {
		return newEngineOn(t, listener, "--tlsverify", "--tlscacert", certs.file("ca.pem"),
			"--tlscert", certs.file("server/cert.pem"), "--tlskey", certs.file("server/key.pem"))
	})

	h.env = []string{"DOCKER_HOST=" + url, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + certs.file("client")}
	h.must("apply", "-y")
	h.settled()
	for _, a := range agents {
		usable(t, h, a)
	}
	if names, err := command("docker", "-H", e.host, "ps", "--format", "{{.Names}}"); err != nil || !strings.Contains(names, h.id) {
		t.Fatalf("the bottles are not on the engine of the test: %s %v", names, err)
	}

	// Who is at the other end, and who we are, is checked before anything is said.
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"another authority":  {[]string{"DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + newAuthority(t).file("client")}, "another authority"},
		"no certificate":     {[]string{"DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + certs.file("none")}, "refuses our certificate"},
		"without TLS":        {[]string{"DOCKER_TLS_VERIFY=", "DOCKER_CERT_PATH="}, "where the engine wants TLS"},
		"another name in it": {[]string{"DOCKER_HOST=" + strings.Replace(url, "127.0.0.1", "127.0.0.2", 1), "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + certs.file("client")}, "127.0.0.2"},
	} {
		was := h.env
		h.env = append([]string{"DOCKER_HOST=" + url}, c.env...)
		began := time.Now()
		r := h.fails("plan")
		r.says(t, c.want, "tcp://127.0.0.", "DOCKER_HOST")
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("%s: plan takes %v", name, took)
		}
		h.env = was
	}

	// A context that docker made, as the current one and by name.
	config := t.TempDir()
	contextArgs := []string{
		"--config", config, "context", "create", "far", "--docker",
		"host=" + url + ",ca=" + certs.file("client/ca.pem") + ",cert=" + certs.file("client/cert.pem") + ",key=" + certs.file("client/key.pem"),
	}
	if _, err := command("docker", contextArgs...); err != nil {
		t.Fatal(err)
	}
	h.env = []string{"DOCKER_HOST=", "DOCKER_CONFIG=" + config, "DOCKER_CONTEXT=far"}
	h.settled()
	if _, err := command("docker", "--config", config, "context", "use", "far"); err != nil {
		t.Fatal(err)
	}
	h.env = []string{"DOCKER_HOST=", "DOCKER_CONFIG=" + config}
	h.settled()
	h.env = append(h.env, "DOCKER_CONTEXT=gone")
	h.fails("plan").says(t, "there is no context gone", "docker context ls")

	h.env = []string{"DOCKER_HOST=", "DOCKER_CONFIG=" + config}
	h.must("destroy", "-y")
	if left, err := command("docker", "-H", e.host, "ps", "-aq"); err != nil || left != "" {
		t.Errorf("left over: %s %v", left, err)
	}
}

// usable asserts that streams of every kind work in a running bottle.
func usable(t *testing.T, h *home, agent string) {
	t.Helper()
	// The end of standard input ends cat: half of the connection closes.
	text := strings.Repeat("0123456789abcdef\n", 64<<10)
	if r := h.runWith(text, "exec", agent, "--", "sh", "-c", "cat > f && wc -c < f && exit 7"); r.code != 7 || strings.TrimSpace(r.stdout) != "1114112" {
		t.Errorf("standard input: exit %d, %q %s", r.code, r.stdout, r.stderr)
	}
	if r := h.run("exec", agent, "--", "cat", "f"); r.stdout != text {
		t.Errorf("standard output: %d bytes of %d", len(r.stdout), len(text))
	}
	h.must("logs", "--sidecar", agent).says(t, `"state":"configured"`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	logs := h.command(ctx, "logs", "--sidecar", "-f", agent)
	out, err := logs.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := logs.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 10)
	if n, err := out.Read(line); err != nil || n == 0 {
		t.Errorf("logs -f: %d %v", n, err)
	}
	cancel()
	logs.Wait() //nolint:errcheck // it was killed
}

// TestEngineOverSSH reaches the machine's own engine through a real sshd.
func TestEngineOverSSH(t *testing.T) {
	s := newSSH(t)
	h, agents := shellHome(t)
	agent := agents[0]
	here := h.env
	h.env = s.env(s.url())
	h.must("apply", "-y")
	t.Logf("apply ran ssh %d times", s.runs())
	h.settled()
	usable(t, h, agent)
	h.must("doctor").says(t, s.url()+" (DOCKER_HOST)")
	s.allGone(t)

	h.env = here
	h.settled() // it is the same engine
	h.env = s.env(s.url() + strings.TrimPrefix(socketHere(t), "unix://"))
	before := s.runs()
	h.settled()
	if n := s.runs() - before; n > 2 {
		t.Errorf("a plan ran ssh %d times", n)
	}

	// A connection that is lost is no end of the program, and ends it.
	sleeper := func(seconds string) (*exec.Cmd, *strings.Builder) {
		cmd := h.command(context.Background(), "exec", agent, "--", "sleep", seconds)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "sleep runs", func() bool { return s.sleeps(t, agent, seconds) })
		return cmd, &out
	}
	cut, out := sleeper("301")
	s.cut(t)
	if err := cut.Wait(); err == nil || !strings.Contains(out.String(), "went away") {
		t.Errorf("a lost connection: %v %s", err, out)
	}
	eventually(t, "sleep is killed", func() bool { return !s.sleeps(t, agent, "301") })

	// However bb ends, ssh ends with it.
	cmd, _ := sleeper("302")
	cmd.Process.Kill() //nolint:errcheck // it runs
	cmd.Wait()         //nolint:errcheck // it was killed
	s.allGone(t)

	h.env = s.env(s.url())
	h.must("destroy", "-y")
	s.allGone(t)
	h.env = here
}

// TestSSHFailsClearly takes the reasons why no engine is reached, each with
// its own words and in time.
func TestSSHFailsClearly(t *testing.T) {
	s, bare := newSSH(t), newSSH(t, "SetEnv=PATH=/nonexistent")
	wrong := newSSH(t)
	wrong.trust(t, s.hostKey)
	unknown := newSSH(t)
	unknown.trust(t, "")
	shut := newSSH(t)
	if err := os.Truncate(shut.file("authorized_keys"), 0); err != nil {
		t.Fatal(err)
	}
	h := newHome(t)
	h.ownEngine = true // nothing is made
	h.bottle("base", "agent_provider: {template: shell}")
	h.agent("one", "base", "")
	for name, c := range map[string]struct {
		at   *sshServer
		url  string
		want []string
	}{
		"unreachable":      {s, "ssh://192.0.2.1", []string{"ssh://192.0.2.1 (DOCKER_HOST)", "try 'ssh 192.0.2.1'"}},
		"nobody listens":   {s, "ssh://127.0.0.1:1", []string{"refused"}},
		"nothing said":     {s, "ssh://" + silent(t), []string{"timed out", "try 'ssh"}},
		"wrong host key":   {wrong, wrong.url(), []string{"the host key is not the one that is known", "ssh-keygen -R"}},
		"unknown host key": {unknown, unknown.url(), []string{"Host key verification failed", "fingerprint"}},
		"no key accepted":  {shut, shut.url(), []string{"Permission denied", "ssh-add"}},
		"no docker there":  {bare, bare.url(), []string{"there is no docker command", "install docker on 127.0.0.1"}},
		"no engine there":  {s, s.url() + "/nonexistent.sock", []string{"no engine answers there", "start docker on 127.0.0.1"}},
		"an option":        {s, "ssh://-oProxyCommand=touch", []string{"no host that bb takes"}},
		"a password":       {s, "ssh://me:hunter2@127.0.0.1", []string{"a password has no place"}},
	} {
		t.Run(name, func(t *testing.T) {
			h.t, h.env = t, c.at.env(c.url)
			began := time.Now()
			r := h.fails("plan")
			r.says(t, c.want...)
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("plan takes %v", took)
			}
			if strings.Contains(r.all(), "hunter2") {
				t.Errorf("a password is shown: %s", r)
			}
			t.Logf("%v: %s", time.Since(began), r.stderr)
			c.at.allGone(t)
		})
	}
}

// silent is the address of something that takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// TestNoEngineSaysWhere asserts that an error says which engine was meant and
// who chose it.
func TestNoEngineSaysWhere(t *testing.T) {
	h := newHome(t)
	h.ownEngine = true
	h.bottle("base", "agent_provider: {template: shell}")
	h.agent("one", "base", "")
	config := t.TempDir()
	meta := filepath.Join(config, "contexts", "meta")
	hand := func(name, content string) {
		dir := filepath.Join(meta, sha256Hex(name))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	good, _ := json.Marshal(map[string]any{"Name": "hand", "Endpoints": map[string]any{"docker": map[string]any{"Host": "unix:///no/such.sock"}}})
	hand("hand", string(good))
	hand("broken", `{"Name":`)
	for env, want := range map[string]string{
		"DOCKER_CONTEXT=hand":              "unix:///no/such.sock (DOCKER_CONTEXT hand)",
		"DOCKER_CONTEXT=broken":            "it is no JSON that docker wrote",
		"DOCKER_HOST=unix:///other.sock":   "unix:///other.sock (DOCKER_HOST)",
		"DOCKER_HOST=ftp://host":           "bb speaks unix://, tcp:// and ssh://",
		"DOCKER_HOST=tcp://192.0.2.1:2375": "tcp://192.0.2.1:2375 (DOCKER_HOST)",
		"DOCKER_HOST=tcp://" + silent(t):   "does not answer within 5s",
	} {
		h.env = []string{"DOCKER_HOST=", "DOCKER_CONFIG=" + config, env}
		began := time.Now()
		h.fails("plan").says(t, want)
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("%s: %v", env, took)
		}
	}
}
