package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress/gitgate/gittest"
)

// forge is a real sshd on this host's address of a network of its own.
type forge struct {
	*gittest.SSH
	t                testing.TB
	network, gateway string
	dir              string // of key files
	n                int
}

// repository is one of a forge's, as a manifest declares it.
type repository struct {
	gittest.Repo
	name, url, hostKey, key string // key is a file
}

func newForge(t testing.TB) *forge {
	t.Helper()
	f := &forge{t: t, network: "forge-" + random(4), dir: t.TempDir()}
	_, f.gateway = network(t, f.network)
	f.SSH = gittest.NewSSH(t, gittest.Options{Listen: f.gateway})
	return f
}

// repository makes one whose main has a file for each old text, which the last
// commit removes again.
func (f *forge) repository(name string, old ...string) repository {
	f.t.Helper()
	r := repository{Repo: gittest.NewRepo(f.t, f.Root, name), name: "origin", url: f.URL(name), hostKey: f.HostKey, key: f.keyFile(f.Key)}
	r.Commit(f.t, "main", "Begin", map[string]string{"README.md": "hello\n"})
	for i, text := range old {
		r.Commit(f.t, "main", fmt.Sprintf("Add fixture %d", i), map[string]string{fmt.Sprintf("fixture%d.txt", i): text})
		r.Commit(f.t, "main", fmt.Sprintf("Empty fixture %d", i), map[string]string{fmt.Sprintf("fixture%d.txt", i): "none\n"})
	}
	return r
}

// keyFile writes a private key as a user has it.
func (f *forge) keyFile(key string) string {
	f.t.Helper()
	f.n++
	path := filepath.Join(f.dir, fmt.Sprint("id", f.n))
	if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// remotes is the git block of a bottle; more goes into each remote.
func (f *forge) remotes(more string, repos ...repository) string {
	if len(repos) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("git:\n  remotes:\n")
	for _, r := range repos {
		fmt.Fprintf(&b, "    %s:\n      upstream: %s\n      identity_file: %s\n      known_host_key: %s\n", r.name, r.url, r.key, r.hostKey)
		if more != "" {
			b.WriteString("      " + more + "\n")
		}
	}
	return b.String()
}

// declare writes the bottle "dev".
func (f *forge) declare(h *home, more string, repos ...repository) {
	h.bottle("dev", "agent_provider: {template: shell}\negress: {network: "+f.network+"}\n"+f.remotes(more, repos...))
}

// bottle is a shell in one.
type bottle struct {
	t     testing.TB
	h     *home
	agent string
}

const gitShell = `cd && export GIT_TERMINAL_PROMPT=0 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.com
`

func (b bottle) shell(script string) result {
	b.t.Helper()
	return b.h.run("exec", b.agent, "--", "sh", "-c", gitShell+script)
}

func (b bottle) must(script string) string {
	b.t.Helper()
	r := b.shell(script)
	if r.code != 0 {
		b.t.Fatalf("%s\n%s", script, r)
	}
	return r.stdout
}

func (b bottle) fails(script string) string {
	b.t.Helper()
	r := b.shell(script)
	if r.code == 0 {
		b.t.Fatalf("%s\nwas to fail: %s", script, r)
	}
	return r.all()
}
