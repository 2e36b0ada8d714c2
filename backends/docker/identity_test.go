package docker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/spec"
)

// recorder notes the commands that go to the engine.
type recorder struct {
	engineAPI
	execs []string
	// dies is how many commands pass before the engine is gone; 0 means all.
	dies int
}

func (r *recorder) ContainerExecCreate(ctx context.Context, id string, o container.ExecOptions) (container.ExecCreateResponse, error) {
	env := slices.DeleteFunc(slices.Clone(o.Env), func(v string) bool { return v == "PATH="+stepPath })
	if r.dies > 0 && len(r.execs) == r.dies {
		return container.ExecCreateResponse{}, errors.New("killed")
	}
	r.execs = append(r.execs, o.User+" "+strings.Join(env, " ")+" | "+strings.Join(o.Cmd, " "))
	return r.engineAPI.ContainerExecCreate(ctx, id, o)
}

func bringUpWithGit(t *testing.T, d *Driver, s *spec.Spec) {
	t.Helper()
	giveGit(t, d, s)
	bringUp(t, d, s)
}

// giveGit uses the sidecar's image, which has git, as a base.
func giveGit(t *testing.T, d *Driver, s *spec.Spec) {
	t.Helper()
	if err := d.Prepare(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	withGit, err := d.sidecarImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Image.Recipe = "FROM " + withGit + "\nUSER root\nRUN useradd -m -u 1000 node\n"
	s.Image.Name = "bbtest-git"
}

// TestIdentity asserts the exact calls: each declared field by itself, nothing
// for what is not declared, and an unset for what was declared once.
func TestIdentity(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUpWithGit(t, d, s)
	r := &recorder{engineAPI: d.engine}
	d.engine = r
	const git = "1000:1000 HOME=/home/node USER=node | /bb/bin/bb door session --bare -- git config --global "
	name, email := git+"user.name A B", git+"user.email a@example.com"
	for _, tt := range []struct {
		what string
		user spec.GitUser
		want []string
		file string
	}{
		{"none", spec.GitUser{}, nil, ""},
		{"name only", spec.GitUser{Name: "A B"}, []string{name}, "user.name=A B\n"},
		{"both", spec.GitUser{Name: "A B", Email: "a@example.com"}, []string{name, email}, "user.name=A B\nuser.email=a@example.com\n"},
		{"email only", spec.GitUser{Email: "a@example.com"}, []string{git + "--unset-all user.name", email}, "user.email=a@example.com\n"},
		{"none again", spec.GitUser{}, []string{git + "--unset-all user.email"}, ""},
	} {
		r.execs = nil
		s.Live.GitUser = tt.user
		if err := d.Provision(t.Context(), s, spec.Secrets{}, []string{spec.PartIdentity}); err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		if diff := cmp.Diff(tt.want, r.execs); diff != "" {
			t.Errorf("%s: calls (-want +got):\n%s", tt.what, diff)
		}
		if got, _ := sh(t, d, s, "git config --global --list 2>/dev/null"); got != tt.file {
			t.Errorf("%s: git configuration %q, want %q", tt.what, got, tt.file)
		}
	}
	sh(t, d, s, "rm -f ~/.gitconfig; ln -s /etc/shadow ~/.gitconfig")
	s.Live.GitUser = spec.GitUser{}
	if err := d.Provision(t.Context(), s, spec.Secrets{}, []string{spec.PartIdentity}); err != nil &&
		!strings.Contains(err.Error(), "exit code") {
		t.Errorf("a link as git configuration: %v", err)
	}
}

// TestAgentCannotHoldAnApply: the agent makes a file that git reads into a pipe
// that nobody writes to. The step fails in time and leaves no process behind.
func TestAgentCannotHoldAnApply(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUpWithGit(t, d, s)
	if out, code := sh(t, d, s, "rm -f ~/.gitconfig && mkfifo ~/.gitconfig"); code != 0 {
		t.Fatal(out)
	}
	d.patience = time.Second
	s.Live.GitUser = spec.GitUser{Name: "A B"}
	begin := time.Now()
	err := d.Provision(t.Context(), s, spec.Secrets{}, []string{spec.PartIdentity})
	if err == nil || !strings.Contains(err.Error(), "no end after 1s (something in the bottle holds it up") {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	if out, _ := sh(t, d, s, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"); strings.Contains(out, "git config") {
		t.Errorf("left behind: %s", out)
	}
}
