package compile

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/spec"
)

// Hazards are what no workspace may hand to an agent.
type Hazards struct {
	// Home is the user's home directory: itself is too much.
	Home string
	// Private are directories of which no workspace may be a part or have one:
	// manifests in a mount would be the agent's to write.
	Private []string
	// Sockets are control sockets of this machine: no workspace may hold one.
	Sockets []string
}

// systemTrees belong to the machine, with all below them.
var systemTrees = []string{
	"/proc", "/sys", "/dev", "/run", "/etc", "/boot", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
	"/var/run", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/spool/cron",
	"/System", "/private/etc", "/private/var/run", "/private/var/db",
}

// systemDirs hold what is everybody's: one of their directories may be a
// workspace, they may not.
var systemDirs = []string{
	"/", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin", "/var", "/var/lib", "/var/tmp", "/tmp", "/opt", "/srv",
	"/home", "/root", "/mnt", "/media", "/Users", "/Library", "/Applications", "/Volumes", "/private", "/private/var", "/private/tmp",
}

// Directory resolves the directory of a workspace and refuses what an agent
// must not be given. The result is the real path: what a link points to
// later does not matter.
func Directory(dir string, h Hazards) (string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", plain(err)
	}
	shown := real
	if real != dir {
		shown = dir + ", which is " + real + ","
	}
	info, err := os.Lstat(real)
	if err != nil {
		return "", plain(err)
	}
	if !info.IsDir() {
		return "", diag.Errorf("%s is not a directory", shown)
	}
	one := "name a directory of one project"
	if slices.Contains(systemDirs, real) || slices.ContainsFunc(systemTrees, func(t string) bool { return within(t, real) }) {
		return "", diag.Errorf("%s is a directory of the system", shown).WithHint("%s", one)
	}
	if h.Home != "" && within(real, resolved(h.Home)) {
		return "", diag.Errorf("%s holds your whole home directory", shown).WithHint("%s", one)
	}
	for _, p := range h.Private {
		if p = resolved(p); within(p, real) || within(real, p) {
			return "", diag.Errorf("%s and %s lie in one another: the agent would get bb's manifests and state", shown, p).
				WithHint("%s", one)
		}
	}
	for _, s := range h.Sockets {
		if s = resolved(s); within(real, s) {
			return "", diag.Errorf("%s holds the socket %s, which is power over this machine", shown, s).WithHint("%s", one)
		}
	}
	return real, nil
}

// maxLooked bounds the search for sockets.
const maxLooked = 100_000

// Sockets lists at most five sockets below a directory that is to be mounted:
// what listens there is a program of this machine, outside of every bottle.
func Sockets(dir string) []string {
	var found []string
	looked := 0
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if looked++; looked > maxLooked || len(found) == 5 {
			return fs.SkipAll
		}
		if err == nil && e.Type()&fs.ModeSocket != 0 {
			found = append(found, path)
		}
		return nil // what cannot be read here, the agent cannot use
	})
	return found
}

// within reports whether a path is dir or lies below it.
func within(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// resolved follows links as far as a path exists.
func resolved(p string) string {
	if real, err := filepath.EvalSymlinks(p); err == nil {
		return real
	}
	dir, base := filepath.Dir(p), filepath.Base(p)
	if dir == p {
		return p
	}
	return filepath.Join(resolved(dir), base)
}

// workspace says what of the host the bottle works on. Where neither the
// command nor the bottle names a directory, the path stays open: an existing
// instance keeps its own, and root is for a new one.
func (c *compiler) workspace() (w spec.Workspace, root string) {
	b := c.bottle.Workspace
	w = spec.Workspace{Mode: orDefault(b.Mode, spec.WorkspaceNone), GuestPath: orDefault(b.GuestPath, spec.Workdir)}
	if w.Mode == spec.WorkspaceNone {
		if c.options.Workspace != "" {
			c.problem(manifest.Pos{}, diag.Errorf("--workspace: bottle %q has no workspace", c.bottle.Name).
				WithHint("add workspace: {mode: copy} to it"))
		}
		return w, ""
	}
	if !guestDirectory(w.GuestPath) {
		c.problem(c.bottle.From["workspace.guest_path"], diag.Errorf("workspace.guest_path: %s cannot hold a workspace", w.GuestPath).
			WithHint("a directory below %s whose name begins with no dot, or /workspace", spec.Home))
	}
	from, at, err := "workspace.path", c.bottle.From["workspace.path"], error(nil)
	switch {
	case c.options.Workspace != "":
		from, at = "--workspace", manifest.Pos{}
		w.Path, err = Directory(c.options.Workspace, c.options.Hazards)
	case b.Path != "":
		w.Path, err = Directory(b.Path, c.options.Hazards)
	case c.agent.Scope == manifest.ScopeRepository && c.options.Repo != "":
		from, at = "workspace: the repository", c.bottle.From["workspace"]
		root, err = Directory(c.options.Repo, c.options.Hazards)
	}
	if err != nil {
		d, ok := err.(diag.Diagnostic) //nolint:errorlint // made bare above
		if !ok {
			d = diag.Errorf("%v", err).WithHint("name a directory that exists")
		}
		d.Message = from + ": " + d.Message
		c.problem(at, d)
	}
	return w, root
}

// guestDirectory reports whether a workspace may lie there in a bottle: where
// nothing of the image, of bb or of the agent's settings is.
func guestDirectory(p string) bool {
	if path.Clean(p) != p || strings.ContainsAny(p, ":\x00\n") {
		return false
	}
	for _, top := range []string{"/workspace", "/workspaces"} {
		if within(top, p) {
			return true
		}
	}
	rest, ok := strings.CutPrefix(p, spec.Home+"/")
	return ok && !strings.HasPrefix(rest, ".")
}
