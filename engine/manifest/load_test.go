package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
)

const fullBottle = `
env:
  PORT: "8080"
  TOKEN: ${GITEA_TOKEN}
  NEAR: costs $5
agent_provider:
  template: claude
  auth_token: CLAUDE_TOKEN
  dockerfile: docker/Dockerfile
git_user: {name: A B, email: a@example.com}
resources: {cpus: 2, memory: 4GiB, pids: 512}
workspace: {mode: none}
egress:
  network: lan
  upstream_ca: /etc/ca.pem
  routes:
    - host: api.example.com
      auth: {scheme: Bearer, token_ref: EXAMPLE_TOKEN}
      websocket: true
      max_body: 1MiB
    - port: 8443
      host: "**.example.org"
      path_allowlist: [/v1, /a%20b]
      pipelock: {tls_passthrough: true, ssrf_ip_allowlist: [10.0.0.0/8, "fd00::/8"]}
      git: {fetch: true}
    - host: 192.0.2.7
      port: 80
      matches:
        - {methods: [GET, HEAD], paths: [/]}
        - methods: [POST]
      auth: {scheme: raw, token_ref: KEY, query: api_key}
`

func TestLoadValues(t *testing.T) {
	o := tree(t, map[string]string{
		"home/bottles/dev.md":  md(fullBottle),
		"home/agents/ann.md":   "---\nbottle: dev\nskills: [init-prd]\ngit_user: {name: Ann}\nmodel: opus\ndescription: [any, thing]\n---\n\n  Be kind.\n\n",
		"home/agents/bob.yaml": "bottle: dev\nreplicas: 0\nprompt: hello\n",
	})
	fleet := loaded(t, o)
	from := func(line int) Pos { return Pos{"home/bottles/dev.md", line} }
	want := &Bottle{
		Name: "dev", File: filepath.Join(o.Home, "bottles/dev.md"), Lineage: []string{"dev"},
		Env: []EnvVar{
			{"NEAR", EnvLiteral, "costs $5", from(5)},
			{"PORT", EnvLiteral, "8080", from(3)},
			{"TOKEN", EnvHost, "GITEA_TOKEN", from(4)},
		},
		Provider:  ProviderDecl{Template: "claude", AuthToken: "CLAUDE_TOKEN", Dockerfile: filepath.Join(o.Home, "bottles/docker/Dockerfile"), From: from(6)},
		GitUser:   GitUser{"A B", "a@example.com", "bottle", "bottle"},
		Resources: Resources{CPUs: 2, Memory: 4 << 30, PIDs: 512},
		Workspace: Workspace{Mode: "none"},
		Egress: Egress{Network: "lan", UpstreamCA: "/etc/ca.pem", From: from(13), Routes: []egress.Route{
			{
				Host: "api.example.com", Port: 443, WebSocket: true, MaxBody: 1 << 20, Source: "bottle dev.md:17",
				Auth: &egress.Auth{Scheme: "Bearer", TokenRef: "EXAMPLE_TOKEN"},
			},
			{
				Host: "**.example.org", Port: 8443, TLSPassthrough: true, GitFetch: true, Source: "bottle dev.md:22",
				Matches: []egress.Match{{Paths: []string{"/v1", "/a b"}}}, SSRFIPAllowlist: []string{"10.0.0.0/8", "fd00::/8"},
			},
			{
				Host: "192.0.2.7", Port: 80, Source: "bottle dev.md:26",
				Matches: []egress.Match{{Methods: []string{"GET", "HEAD"}, Paths: []string{"/"}}, {Methods: []string{"POST"}}},
				Auth:    &egress.Auth{Scheme: "raw", TokenRef: "KEY", Query: "api_key"},
			},
		}},
	}
	got := *fleet.Bottles["dev"]
	got.From = nil
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("bottle (-want +got):\n%s", diff)
	}
	ann, bob := fleet.Agent("ann"), fleet.Agent("bob")
	if ann == nil || bob == nil {
		t.Fatal("an agent is missing")
	}
	if diff := cmp.Diff(GitUser{"Ann", "a@example.com", "agent", "bottle"}, ann.GitUser); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if ann.Prompt != "Be kind." || ann.Replicas != 1 || !cmp.Equal(ann.Skills, []string{"init-prd"}) || ann.Scope != ScopeHome {
		t.Errorf("ann is %+v", ann)
	}
	if bob.Prompt != "hello" || bob.Replicas != 0 {
		t.Errorf("bob is %+v", bob)
	}
}

func TestWant(t *testing.T) {
	o := tree(t, map[string]string{
		"home/bottles/base.md":           md("supervise: false"),
		"home/bottles/dev.md":            md("extends: base"),
		"home/bottles/bad.md":            md("egres: 1"),
		"home/bottles/worse.md":          md("extends: bad"),
		"home/agents/ann.md":             md("bottle: dev"),
		"home/agents/bob.md":             md("bottle: worse"),
		"home/agents/cat.md":             md("bottle: dev\nskils: []"),
		"home/agents/dan.md":             md("bottle: dev"),
		"repo/.bot-bottle/agents/dan.md": md("bottle: bad"),
		"repo/.bot-bottle/agents/cat.md": md("bottle: dev"),
	})
	const bad = `home/bottles/bad.md:2:1: %sunknown key "egres" (did you mean "egress"?)`
	const cat = `home/agents/cat.md:3:1: %sunknown key "skils" in  (did you mean "skills"?)`
	mark := func(format, word string) string {
		return strings.ReplaceAll(strings.Replace(format, "%s", word, 1), " in  ", " ")
	}
	for _, c := range []struct {
		want []string
		out  []string
	}{
		{nil, []string{mark(cat, ""), mark(bad, "")}},
		{[]string{"ann"}, []string{mark(cat, "warning: "), mark(bad, "warning: ")}},
		{[]string{"bob"}, []string{mark(cat, "warning: "), mark(bad, "")}},
		{[]string{"cat"}, []string{mark(cat, "warning: "), mark(bad, "warning: ")}},
		{[]string{"home/cat"}, []string{mark(cat, ""), mark(bad, "warning: ")}},
		{[]string{"dan"}, []string{mark(cat, "warning: "), mark(bad, "")}},
		{[]string{"home/dan"}, []string{mark(cat, "warning: "), mark(bad, "warning: ")}},
		{[]string{"amn"}, []string{`unknown agent "amn" (did you mean "ann"?)`, mark(cat, "warning: "), mark(bad, "warning: ")}},
		{[]string{"zzzzz"}, []string{`unknown agent "zzzzz" (agents: ann, bob, cat, dan, home/cat, home/dan)`, mark(cat, "warning: "), mark(bad, "warning: ")}},
	} {
		t.Run(strings.Join(c.want, " "), func(t *testing.T) {
			o.Want = c.want
			fleet, problems := Load(o)
			if diff := cmp.Diff(c.out, texts(problems)); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"bob", "dan", "home/cat"}, fleet.BrokenAgents); diff != "" {
				t.Errorf("broken agents (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"bad", "worse"}, fleet.BrokenBottles); diff != "" {
				t.Errorf("broken bottles (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRepositoryShadowsHome(t *testing.T) {
	o := tree(t, map[string]string{
		"home/bottles/dev.md":            md("supervise: false"),
		"home/agents/ann.md":             md("bottle: dev") + "home",
		"repo/.bot-bottle/agents/ann.md": md("bottle: dev") + "repository",
	})
	fleet := loaded(t, o)
	if len(fleet.Agents) != 1 || fleet.Agent("ann").Prompt != "repository" || fleet.Agent("ann").Scope != ScopeRepository {
		t.Errorf("ann is %+v", fleet.Agent("ann"))
	}
	if fleet.Agent("home/ann").Prompt != "home" {
		t.Errorf("home/ann is %+v", fleet.Agent("home/ann"))
	}
	// A broken file does not uncover the one that it hides.
	agent := filepath.Join(o.Repo, ".bot-bottle/agents/ann.md")
	if err := os.WriteFile(agent, []byte(md("botle: dev")), 0o600); err != nil {
		t.Fatal(err)
	}
	fleet, _ = Load(o)
	if fleet.Agent("ann") != nil || fleet.Agent("home/ann") == nil || !cmp.Equal(fleet.BrokenAgents, []string{"ann"}) {
		t.Errorf("ann is %+v, broken are %v", fleet.Agent("ann"), fleet.BrokenAgents)
	}
	// The home directory may lie in a repository of its own.
	o.Repo = filepath.Dir(o.Home)
	if err := os.Symlink(o.Home, filepath.Join(o.Repo, ".bot-bottle")); err != nil {
		t.Fatal(err)
	}
	if fleet := loaded(t, o); fleet.Agent("ann").Scope != ScopeHome {
		t.Errorf("ann is %+v", fleet.Agent("ann"))
	}
}

func TestUnreadableFiles(t *testing.T) {
	o := tree(t, map[string]string{"home/bottles/ok.md": md(""), "home/bottles/latin.md": "---\nenv: {A: \xe9}\n---\n"})
	dir := filepath.Join(o.Home, "bottles")
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "a-directory.md"), 0o755),
		os.Symlink("nowhere", filepath.Join(dir, "dangling.md")),
		os.Symlink("loop.md", filepath.Join(dir, "loop.md")),
		os.WriteFile(filepath.Join(dir, "empty.md"), nil, 0o600),
		syscall.Mkfifo(filepath.Join(dir, "pipe.md"), 0o600),
		os.WriteFile(filepath.Join(dir, "large.md"), make([]byte, maxFile+1), 0o600),
		os.WriteFile(filepath.Join(dir, "wide.md"), []byte("---\n"+strings.Repeat("# comment\n", 20000)+"---\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "README.txt"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, ".dev.md"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	fleet, problems := Load(o)
	want := []string{
		"home/bottles/a-directory.md: cannot read: is a directory (a manifest is a file)",
		"home/bottles/dangling.md: cannot read: no such file or directory (it is a link to nowhere)",
		"home/bottles/empty.md:1:1: no frontmatter (begin the file with a line --- and the keys, then another line ---)",
		"home/bottles/large.md: larger than 1 MiB",
		"home/bottles/latin.md:2:1: not valid UTF-8 (save the file as UTF-8)",
		"home/bottles/loop.md: cannot read: too many levels of symbolic links (it is a link to loop.md)",
		"home/bottles/pipe.md: cannot read: is not a regular file (a manifest is a regular file)",
		"home/bottles/wide.md:1:1: more than 128 KiB of keys",
	}
	if diff := cmp.Diff(want, texts(problems)); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	if fleet.Bottles["ok"] == nil || len(fleet.BrokenBottles) != len(want) {
		t.Errorf("broken: %v", fleet.BrokenBottles)
	}
}

func TestUnreadableDirectory(t *testing.T) {
	o := tree(t, map[string]string{"home/bottles": "a file"})
	_, problems := Load(o)
	if diff := cmp.Diff([]string{"home/bottles: cannot read the directory: not a directory"}, texts(problems)); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	o.Want = []string{"ann"}
	if _, problems := Load(o); !problems.HasErrors() {
		t.Error("an unreadable directory became a warning")
	}
}

func TestNoHome(t *testing.T) {
	fleet := loaded(t, Options{Home: filepath.Join(t.TempDir(), "nowhere")})
	if len(fleet.Agents)+len(fleet.Bottles) > 0 {
		t.Errorf("fleet is %+v", fleet)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{
		"env: {A: [hunter2]}", "env: hunter2=", "env:\n  A: *hunter2", "env:\n  A: !hunter2 x", "env:\n  A=hunter2: 1",
		"env:\n  A: \"hunter2", "env:\n  A: !!int hunter2", "env:\n  A: !!float hunter2",
		"agent_provider: {auth_token: sk-hunter2}", "agent_provider: {auth_token: [hunter2]}",
		"egress: {routes: [{host: a.example.com, auth: {scheme: hunter2, token_ref: sk-hunter2, header: 'a: hunter2', query: 'hunter2&'}}]}",
		"egress: {routes: [{host: 'https://u:hunter2@a.example.com/?k=hunter2'}]}",
		"egress: {routes: [{host: 'u:hunter2@a.example.com'}]}",
		"egress: {parent: {url: 'http://u:hunter2@a.example.com', token_ref: sk-hunter2}}",
		"egress: {parent: {url: 'socks5://u:hunter2@a.example.com'}}", "egress: {parent: {url: 'http://u:hunter2@a.example.com:hunter2'}}",
		"egress: {parent: {url: 'u:hunter2@a.example.com:3128'}}", "egress: {parent: {url: 'http://a.example.com/hunter2'}}",
		"egress: {parent: {url: 'http://a.example.com?hunter2'}}", "egress: {parent: {url: [hunter2]}}", "egress: {parent: {url: \"hunter2\\n\"}}",
		"git: {remotes: {a: {upstream: 'https://u:hunter2@a.example.com/x', token_ref: sk-hunter2}}}",
		"git: {remotes: {a: {upstream: 'https://u:hunter2@A.example.com/x'}}}",
		"git: {remotes: {a: {upstream: \"https://u:hunter2@a.example.com/x\\n\"}}}", "git: {remotes: {a: {upstream: 'ssh://u:hunter2@a.example.com/x'}}}",
		"git: {remotes: {a: {upstream: 'ssh://a@a.example.com/x', identity_file: '-----BEGIN OPENSSH PRIVATE KEY----- hunter2', known_host_key: 'PRIVATE KEY hunter2'}}}",
		"git: {remotes: {a: {upstream: 'ssh://a@a.example.com/x', identity_file: \"hunter2\\n\", known_host_key: \"hunter2\\n\"}}}",
		"git: {remotes: {a: {upstream: 'ssh://a@a.example.com/x', identity_file: [hunter2], known_host_key: hunter2}}}",
	} {
		_, problems := Load(tree(t, map[string]string{"home/bottles/dev.md": md(text)}))
		if len(problems) == 0 {
			t.Errorf("accepted: %s", text)
		}
		for _, d := range problems {
			if strings.Contains(d.Error(), secret) || strings.Contains(d.Path, secret) && !strings.Contains(text, "=hunter2") {
				t.Errorf("%s\nis shown in: %s", text, d.Error())
			}
		}
	}
}

func TestShownPath(t *testing.T) {
	t.Chdir(t.TempDir())
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(cwd, "a/b.md"):          "a/b.md",
		filepath.Join(cwd, "..x"):             "..x",
		filepath.Join(filepath.Dir(cwd), "x"): filepath.Join(filepath.Dir(cwd), "x"),
		"/etc/passwd":                         "/etc/passwd",
	} {
		if got := ShownPath(path); got != want {
			t.Errorf("ShownPath(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestHomeIsExpanded(t *testing.T) {
	t.Setenv("HOME", "/h")
	fleet := loaded(t, tree(t, map[string]string{"home/bottles/dev.md": md("agent_provider: {dockerfile: ~/D}\negress: {upstream_ca: ../ca.pem}")}))
	dev := fleet.Bottles["dev"]
	if dev.Provider.Dockerfile != "/h/D" || filepath.Base(dev.Egress.UpstreamCA) != "ca.pem" || !filepath.IsAbs(dev.Egress.UpstreamCA) {
		t.Errorf("paths are %q and %q", dev.Provider.Dockerfile, dev.Egress.UpstreamCA)
	}
}

func TestDiagnosticsCarryPaths(t *testing.T) {
	_, problems := Load(tree(t, map[string]string{"home/bottles/dev.md": md("egress: {routes: [{host: a.example.com, port: 0}]}")}))
	want := diag.List{{
		Severity: diag.Error, File: "home/bottles/dev.md", Line: 2, Col: 47, Path: "egress.routes[0].port",
		Message: "egress.routes[0].port must be between 1 and 65535; got 0",
	}}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
}
