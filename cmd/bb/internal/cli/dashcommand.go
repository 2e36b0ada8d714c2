package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/bot-bottle/bb/cmd/bb/internal/dash"
)

// Command is bb itself, in this home and with the flags that this bb has. It may
// be called in another directory: paths are whole.
func (d *dashSource) Command(c dash.Call) *exec.Cmd {
	g := d.a.g
	args := []string{"--color=" + g.Color}
	if g.Verbose {
		args = append(args, "--verbose")
	}
	if c.Ended != "" {
		args = append(args, "--ended="+c.Ended)
	}
	if d.workspace != "" && slices.Contains(workspaceWords, c.Args[0]) {
		args = append(args, "--workspace="+whole(d.workspace))
	}
	cmd := exec.Command(d.self, append(args, c.Args...)...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), "BB_HOME="+whole(g.Home))
	for name, value := range map[string]string{
		"BB_BACKEND": g.Backend, "BB_BASE_IMAGE": g.BaseImage, "BB_BUILD_CA": whole(g.BuildCA), "BB_SIDECAR_BINARY": whole(g.SidecarBinary),
	} {
		if value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// whole is a path that means the same in every directory.
func whole(path string) string {
	if path == "" {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
