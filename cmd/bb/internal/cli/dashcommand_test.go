package cli

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/cmd/bb/internal/dash"
)

// What a key calls has the flags that the dashboard has, also in another directory.
func TestDashboardPassesFlagsOn(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	a := &app{g: &grammar{
		Home: "home", Backend: "smolvm", Color: "never", Verbose: true, SidecarBinary: "/opt/bb-linux",
		BuildCA: "roots.pem", Workspace: "src", BaseImage: "base:1",
	}}
	d, err := newDashSource(t.Context(), a, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if a.g.Workspace != "" {
		t.Error("what is looked at has a workspace")
	}
	for _, tt := range []struct {
		call dash.Call
		want string
	}{
		{dash.Call{Args: []string{"apply", "-y", "dev"}}, "--color=never --verbose --workspace=" + here + "/src apply -y dev"},
		{dash.Call{Args: []string{"start", "dev"}, Ended: "/x"}, "--color=never --verbose --ended=/x --workspace=" + here + "/src start dev"},
		{dash.Call{Args: []string{"stop", "dev"}, Dir: "/"}, "--color=never --verbose stop dev"},
	} {
		cmd := d.Command(tt.call)
		if got := strings.Join(cmd.Args[1:], " "); got != tt.want || cmd.Dir != tt.call.Dir {
			t.Errorf("%s in %s, want %s", got, cmd.Dir, tt.want)
		}
		for _, want := range []string{
			"BB_HOME=" + here + "/home", "BB_BACKEND=smolvm", "BB_BASE_IMAGE=base:1", "BB_BUILD_CA=" + here + "/roots.pem", "BB_SIDECAR_BINARY=/opt/bb-linux",
		} {
			if !slices.Contains(cmd.Env, want) {
				t.Errorf("no %s", want)
			}
		}
	}
}

// The code of a bottle's program is told apart from bb's own.
func TestNoteEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
		code int
	}{
		{"program", exitWith(130), "130\n", 130},
		{"program that ended well", exitWith(0), "", 0},
		{"bb", exitError{exitFailed, "no"}, "", 1},
		{"bb's error", errors.New("no"), "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ended")
			if err := noteEnd(path, tt.err); err != nil {
				t.Fatal(err)
			}
			b, _ := os.ReadFile(path)
			var said strings.Builder
			if code := report(tt.err, &said); string(b) != tt.want || code != tt.code {
				t.Errorf("%q, code %d", b, code)
			}
		})
	}
}
