package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/backends/guest"
)

// environment is a configuration of docker on disk and the variables around it.
func environment(t *testing.T, vars map[string]string) (dir string, getenv func(string) string) {
	t.Helper()
	home := t.TempDir()
	return filepath.Join(home, ".docker"), func(name string) string {
		if name == "HOME" {
			return home
		}
		return vars[name]
	}
}

func makeContext(t *testing.T, dir, name, meta string) (tlsDir string) {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	put(t, filepath.Join(dir, "contexts", "meta", id, "meta.json"), meta)
	return filepath.Join(dir, "contexts", "tls", id, "docker")
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, path, text)
}

const farMeta = `{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"ssh://me@far.example.com","SkipTLSVerify":false}}}`

func TestLocateOrder(t *testing.T) {
	for _, tt := range []struct {
		name, config string
		vars         map[string]string
		want         string
	}{
		{"nothing", "", nil, "unix:///var/run/docker.sock (default)"},
		{"empty configuration", "{}", nil, "unix:///var/run/docker.sock (default)"},
		{"the default by name", `{"currentContext":"default"}`, nil, "unix:///var/run/docker.sock (default)"},
		{"current context", `{"currentContext":"far","auths":{}}`, nil, "ssh://me@far.example.com (current context far)"},
		{"DOCKER_CONTEXT is before it", `{"currentContext":"gone"}`, map[string]string{"DOCKER_CONTEXT": "far"}, "ssh://me@far.example.com (DOCKER_CONTEXT far)"},
		{"and says default", `{"currentContext":"far"}`, map[string]string{"DOCKER_CONTEXT": "default"}, "unix:///var/run/docker.sock (default)"},
		{"DOCKER_HOST is before both", `{"currentContext":`, map[string]string{"DOCKER_CONTEXT": "far", "DOCKER_HOST": "unix:///x.sock"}, "unix:///x.sock (DOCKER_HOST)"},
	} {
		dir, getenv := environment(t, tt.vars)
		makeContext(t, dir, "far", farMeta)
		if tt.config != "" {
			put(t, filepath.Join(dir, "config.json"), tt.config)
		}
		got, err := locate("", getenv)
		if err != nil || got.String() != tt.want {
			t.Errorf("%s: %s %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

func TestLocateErrors(t *testing.T) {
	for _, tt := range []struct {
		vars              map[string]string
		config, meta      string
		want, alsoInIt    string
		tlsFile, tlsTexts string
	}{
		{config: `{"currentContext":`, want: "it is no JSON that docker wrote", alsoInIt: "DOCKER_HOST or DOCKER_CONTEXT"},
		{config: `{"currentContext":7}`, want: "it is no JSON that docker wrote"},
		{vars: map[string]string{"DOCKER_CONTEXT": "gone"}, want: "there is no context gone", alsoInIt: "docker context ls"},
		{vars: map[string]string{"DOCKER_CONTEXT": "../x"}, want: `"../x" cannot be the name of a context`},
		{vars: map[string]string{"DOCKER_CONTEXT": "a\x1b[2J"}, want: `cannot be the name of a context`},
		{meta: `{}`, want: "it is about another context"},
		{meta: `[`, want: "it is no JSON"},
		{meta: `{"Name":"far","Endpoints":{"kubernetes":{}}}`, want: "it names no docker engine"},
		{meta: `{"Name":"far","Endpoints":{"docker":{"Host":"ftp://x"}}}`, want: "current", alsoInIt: "bb speaks"},
		{meta: strings.Repeat(" ", maxConfig+1), want: "it is too large"},
		{
			meta: `{"Name":"far","Endpoints":{"docker":{"Host":"tcp://h:1"}}}`, tlsFile: "ca.pem", tlsTexts: "x",
			want: "ca.pem: no certificate in it",
		},
		{
			meta: `{"Name":"far","Endpoints":{"docker":{"Host":"tcp://h:1"}}}`, tlsFile: "cert.pem", tlsTexts: "x",
			want: "key.pem: it is missing beside cert.pem",
		},
		{vars: map[string]string{"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1"}, want: "ca.pem: no such file"},
		{vars: map[string]string{"DOCKER_HOST": "tcp://h:1", "DOCKER_CERT_PATH": "/nonexistent"}, want: "/nonexistent holds no ca.pem"},
	} {
		dir, getenv := environment(t, tt.vars)
		if tt.meta != "" {
			tt.config = `{"currentContext":"far"}`
			tlsDir := makeContext(t, dir, "far", tt.meta)
			if tt.tlsFile != "" {
				put(t, filepath.Join(tlsDir, tt.tlsFile), tt.tlsTexts)
			}
		}
		if tt.config != "" {
			put(t, filepath.Join(dir, "config.json"), tt.config)
		}
		_, err := locate("", getenv)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.alsoInIt) {
			t.Errorf("%v %.80s: %v, want %q", tt.vars, tt.config+tt.meta, err, tt.want)
		}
		if err != nil && guest.Printable(err.Error()) != err.Error() {
			t.Errorf("%q drives a terminal", err)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"unix:///run/x.sock":             "unix /run/x.sock",
		"tcp://127.0.0.1:2375":           "tcp 127.0.0.1:2375",
		"tcp://[::1]:2375":               "tcp [::1]:2375",
		"tcp://engine.example.com:1/way": "tcp engine.example.com:1/way",
		"ssh://h":                        "ssh",
		"ssh://me@h:22/run/docker.sock":  "ssh",
		"":                               "no address",
		"host:2375":                      "no address",
		"unix://relative":                "absolute path",
		"unix:///a\x07":                  "absolute path",
		"npipe:////./pipe/docker":        "bb speaks",
		"http://h:1":                     "bb speaks",
		"tcp://h":                        "wants a port",
		"tcp://u@h:1":                    "takes no user",
		"tcp://u:geheim@h:1":             "a password",
		"ssh://u:geheim@h":               "a password",
		"ssh://u:gehe%im@h":              "no address",
		"ssh://-oProxyCommand=x":         "no host",
		"ssh://-oProxyCommand=x@h":       "no user",
		"ssh://$(x)@h":                   "no user",
		"ssh://@h":                       "no user",
		"ssh://h`x`":                     "no",
		"ssh://h;x":                      "no",
		"ssh://h\n":                      "no address",
		"ssh://h/a'b":                    "no path",
		"ssh://h/a?b":                    "ends with its path",
		"ssh:///x":                       "no host",
		"ssh://[fe80::1%25eth0]:22":      "ssh",
	} {
		a, err := parseAddress(text, "DOCKER_HOST")
		got := strings.TrimSpace(a.scheme + " " + a.target + a.base)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != want || !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if strings.Contains(got, "gehe") {
			t.Errorf("%q: the password is shown: %s", text, got)
		}
	}
}

func TestSSHArguments(t *testing.T) {
	const options = "-T -a -x -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ClearAllForwardings=yes -o RemoteCommand=none"
	for text, want := range map[string]string{
		"ssh://h":                             " -- h docker system dial-stdio",
		"ssh://h/":                            " -- h docker system dial-stdio",
		"ssh://me@h:2222":                     " -l me -p 2222 -- h docker system dial-stdio",
		"ssh://h/run/user/1000/docker.sock":   " -- h docker -H unix:///run/user/1000/docker.sock system dial-stdio",
		"ssh://a.b-c@[fe80::1%25eth0]:22/x.s": " -l a.b-c -p 22 -- fe80::1%eth0 docker -H unix:///x.s system dial-stdio",
	} {
		a, err := parseAddress(text, "")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(options+want, strings.Join(a.ssh.args(), " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestExposed(t *testing.T) {
	for host, want := range map[string]string{
		"unix:///x": "", "ssh://h": "", "tcp://127.0.0.1:1": "", "tcp://[::1]:1": "", "tcp://localhost:1": "",
		"tcp://10.0.0.1:1": "has no TLS", "tcp://engine.example.com:1": "has no TLS",
	} {
		a, err := locate(host, func(string) string { return "" })
		if err != nil || !strings.Contains(a.exposed(), want) || want == "" && a.exposed() != "" {
			t.Errorf("%s: %q %v, want %q", host, a.exposed(), err, want)
		}
	}
	dir, getenv := environment(t, map[string]string{"DOCKER_CONTEXT": "far"})
	makeContext(t, dir, "far", `{"Name":"far","Endpoints":{"docker":{"Host":"tcp://10.0.0.1:1","SkipTLSVerify":true}}}`)
	a, err := locate("", getenv)
	if err != nil || !strings.Contains(a.exposed(), "not verified") {
		t.Errorf("%q %v", a.exposed(), err)
	}
}

func TestExposedWarnsOnce(t *testing.T) {
	var log strings.Builder
	d, err := New(Options{Host: "tcp://192.0.2.1:2375", Owner: "o", Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	d.warnExposed()
	d.warnExposed()
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "warning: the engine at tcp://192.0.2.1:2375 has no TLS") {
		t.Errorf("%q", got)
	}
}

func FuzzContextMeta(f *testing.F) {
	f.Add([]byte(farMeta))
	f.Add([]byte(`{"Name":"far","Endpoints":{"docker":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		meta, err := parseMeta(b, "far")
		if err != nil {
			return
		}
		a, err := parseAddress(meta.host, "context")
		if err != nil {
			if guest.Printable(err.Error()) != err.Error() {
				t.Errorf("%q drives a terminal", err)
			}
			return
		}
		if guest.Printable(a.String()) != a.String() {
			t.Errorf("%q drives a terminal", a)
		}
		if a.scheme == "ssh" {
			args := a.ssh.args()
			for i, arg := range args {
				if arg == "--" && strings.HasPrefix(args[i+1], "-") {
					t.Errorf("an option as a host: %q", args)
				}
				if strings.ContainsAny(arg, " \n`$;&|<>'\"\\") {
					t.Errorf("a shell reads more than words: %q", args)
				}
			}
		}
	})
}
