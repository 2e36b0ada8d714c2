package upstream

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/gittest"
)

// visible reads what others could read of a run: arguments and environments of
// all its processes, and its directory.
func visible(t *testing.T, a *Access) (text string, programs map[string]bool) {
	t.Helper()
	programs = map[string]bool{}
	var b strings.Builder
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, _ := os.ReadFile(dir + "/environ")
		args, _ := os.ReadFile(dir + "/cmdline")
		if !strings.Contains(string(env)+string(args), a.RunDir) { // another test's
			continue
		}
		name, _ := os.ReadFile(dir + "/comm")
		programs[strings.TrimSpace(string(name))] = true
		fmt.Fprintf(&b, "%s\n%s\n%s\n", name, args, env)
	}
	_ = filepath.WalkDir(a.RunDir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			data, _ := os.ReadFile(path)
			fmt.Fprintf(&b, "%s\n%s\n", path, data)
			if info, err := d.Info(); err == nil && info.Mode().Perm() != 0o600 {
				t.Errorf("%s is %s", path, info.Mode())
			}
		}
		return nil
	})
	return b.String(), programs
}

// watchRun looks at a run again and again until it ends.
func watchRun(t *testing.T, a *Access, r Repo, secrets []string, want ...string) {
	t.Helper()
	m := mirror(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, r, Command{GitDir: m.Dir, Args: []string{"ls-remote", r.URL}}) }()
	seen := map[string]bool{}
	for {
		text, programs := visible(t, a)
		for p := range programs {
			seen[p] = true
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Fatalf("a secret is visible: %s", regexp.MustCompile(regexp.QuoteMeta(secret)).ReplaceAllString(text, ">>>SECRET<<<"))
			}
		}
		select {
		case err := <-done:
			if err == nil {
				t.Error("it was to hang")
			}
			for _, p := range want {
				if !seen[p] {
					t.Errorf("no process %s among %v", p, seen)
				}
			}
			return
		default:
		}
	}
}

func TestNoKeyIsVisible(t *testing.T) {
	s := gittest.NewSSH(t, gittest.Options{})
	r := sshRepo(s, "r")
	r.Credential = s.HangKey
	lines := strings.Split(strings.TrimSpace(s.HangKey), "\n")
	watchRun(t, access(t), r, lines, "git", "ssh")
}

func TestNoTokenIsVisible(t *testing.T) {
	s := gittest.NewHTTPS(t, gittest.Options{})
	f := func(_ http.ResponseWriter, r *http.Request) bool {
		if _, _, ok := r.BasicAuth(); ok {
			<-r.Context().Done()
			return true
		}
		return false
	}
	s.Answer.Store(&f)
	r := httpsRepo(s, "r")
	r.Login = "me:proxy-password"
	r.Parent, _ = parent(t, r.Login)
	watchRun(t, access(t), r, []string{s.Token, "proxy-password"}, "git", "git-remote-http")
	if s.Logins.Load() == 0 {
		t.Error("it never logged in")
	}
}

// Nothing of the machine's reaches git: no setting, no variable.
func TestNothingIsInherited(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[url \"ssh://nobody@127.0.0.1:1/\"]\ninsteadOf = ssh://\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("GIT_SSH_COMMAND", "false")
	t.Setenv("GIT_TRACE", "1")
	t.Setenv("SSH_AUTH_SOCK", "/nonexistent")
	s := gittest.NewSSH(t, gittest.Options{})
	gittest.NewRepo(t, s.Root, "r")
	r := sshRepo(s, "r")
	if out, err := run(t, access(t), r, mirror(t).Dir, "ls-remote", r.URL); err != nil {
		t.Error(err, out)
	}
}
