package compile

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/spec"
)

// place is a machine: a user's home with bb's, projects, and a socket.
type place struct {
	dir string
	h   Hazards
}

func newPlace(t *testing.T) place {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"home/me/.bot-bottle/bottles", "home/me/src/x", "home/me/src/with-manifests", "engine/below"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "home/me/src/file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"home/me/link": "src/x", "home/me/sneaky": ".bot-bottle", "home/me/system": "/etc", "home/me/self": ".",
		"home/me/proc": "/proc/self/cwd/..",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(dir, "engine"))
	l, err := net.Listen("unix", "engine.sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return place{dir, Hazards{
		Home:    filepath.Join(dir, "home/me"),
		Private: []string{filepath.Join(dir, "home/me/.bot-bottle")},
		Sockets: []string{filepath.Join(dir, "engine/engine.sock"), filepath.Join(dir, "engine/below/not-yet.sock")},
	}}
}

func TestDirectory(t *testing.T) {
	p := newPlace(t)
	for dir, want := range map[string]string{
		"home/me/src/x": "home/me/src/x",
		"home/me/src":   "home/me/src",
		"home/me/link":  "home/me/src/x", // resolved, and shown so
	} {
		got, err := Directory(filepath.Join(p.dir, dir), p.h)
		if err != nil || got != filepath.Join(p.dir, want) {
			t.Errorf("%s: %q, %v", dir, got, err)
		}
	}
	for dir, why := range map[string]string{
		"home/me":                      "holds your whole home directory",
		"home":                         "holds your whole home directory",
		"home/me/self":                 "holds your whole home directory",
		"home/me/.bot-bottle":          "bb's manifests and state",
		"home/me/.bot-bottle/bottles":  "bb's manifests and state",
		"home/me/sneaky":               "bb's manifests and state",
		"home/me/sneaky/bottles":       "bb's manifests and state",
		"home/me/system":               "is a directory of the system",
		"home/me/src/file":             "is not a directory",
		"home/me/src/none":             "no such file or directory",
		"engine":                       "holds the socket",
		"engine/below":                 "holds the socket", // also one that is made later
		"/":                            "is a directory of the system",
		"/proc":                        "is a directory of the system",
		"/proc/self/fd":                "is a directory of the system",
		"/sys":                         "is a directory of the system",
		"/dev":                         "is a directory of the system",
		"/dev/shm":                     "is a directory of the system",
		"/etc":                         "is a directory of the system",
		"/run":                         "is a directory of the system",
		"/var/run":                     "is a directory of the system",
		"/usr":                         "is a directory of the system",
		"/bin":                         "is a directory of the system",
		"/tmp":                         "is a directory of the system",
		"/home":                        "is a directory of the system",
		"home/me/src/../.bot-bottle/.": "bb's manifests and state",
	} {
		if !filepath.IsAbs(dir) {
			dir = p.dir + "/" + dir
		}
		if got, err := Directory(dir, p.h); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %q, %v; want %q", dir, got, err, why)
		}
	}
}

func TestGuestDirectory(t *testing.T) {
	for path, want := range map[string]bool{
		spec.Workdir: true, "/home/node/src/x": true, "/workspace": true, "/workspace/x": true, "/workspaces/x": true,
		"/home/node": false, "/home/node/": false, "/home/node/.claude": false, "/home/node/.bb/x": false,
		"/home/node/../x": false, "/home/node/x/": false, "/home/node/a:b": false, "/home/nodes/x": false,
		"/": false, "/bb": false, "/bb/bin": false, "/run/bb": false, "/proc": false, "/etc": false, "/etc/ssl": false,
		"/usr/local": false, "/tmp": false, "/workspacex": false, "/root": false, "/var": false,
	} {
		if guestDirectory(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

// Who names the directory, and what is said where nobody can.
func TestWorkspace(t *testing.T) {
	p := newPlace(t)
	src, other := filepath.Join(p.dir, "home/me/src"), filepath.Join(p.dir, "home/me/src/x")
	at := manifest.Pos{File: "dev.md", Line: 3}
	from := map[string]manifest.Pos{"workspace": at, "workspace.path": at, "workspace.guest_path": at}
	for name, c := range map[string]struct {
		bottle     manifest.Workspace
		flag, repo string
		want       spec.Workspace
		root       string
		problem    string
	}{
		"none": {want: spec.Workspace{Mode: "none", GuestPath: spec.Workdir}},
		"none in a repository": {
			repo: src, want: spec.Workspace{Mode: "none", GuestPath: spec.Workdir},
		},
		"a flag for none": {flag: src, problem: `--workspace: bottle "dev" has no workspace (add workspace: {mode: copy} to it)`},
		"the bottle's": {
			bottle: manifest.Workspace{Mode: "copy", Path: src, GuestPath: "/workspace"},
			want:   spec.Workspace{Mode: "copy", Path: src, GuestPath: "/workspace"},
		},
		"the flag wins": {
			bottle: manifest.Workspace{Mode: "mount", Path: src}, flag: other, repo: src,
			want: spec.Workspace{Mode: "mount", Path: other, GuestPath: spec.Workdir},
		},
		"the repository's is a default": {
			bottle: manifest.Workspace{Mode: "copy"}, repo: src, root: src,
			want: spec.Workspace{Mode: "copy", GuestPath: spec.Workdir},
		},
		"nobody names one": {
			bottle: manifest.Workspace{Mode: "copy"}, want: spec.Workspace{Mode: "copy", GuestPath: spec.Workdir},
		},
		"the bottle's does not exist": {
			bottle:  manifest.Workspace{Mode: "copy", Path: filepath.Join(src, "none")},
			problem: "dev.md:3: workspace.path: " + filepath.Join(src, "none") + ": no such file or directory (name a directory that exists)",
		},
		"a flag for the manifests": {
			bottle: manifest.Workspace{Mode: "mount"}, flag: p.h.Private[0],
			problem: "--workspace: " + p.h.Private[0] + " and " + p.h.Private[0] + " lie in one another: the agent would get bb's manifests and state",
		},
		"the repository is the home": {
			bottle: manifest.Workspace{Mode: "copy"}, repo: p.h.Home,
			problem: "dev.md:3: workspace: the repository: " + p.h.Home + " holds your whole home directory",
		},
		"a guest path over bb": {
			bottle:  manifest.Workspace{Mode: "copy", Path: src, GuestPath: "/bb/bin"},
			problem: "dev.md:3: workspace.guest_path: /bb/bin cannot hold a workspace",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c2 := &compiler{
				bottle:  &manifest.Bottle{Name: "dev", Workspace: c.bottle, From: from},
				agent:   &manifest.Agent{Scope: manifest.ScopeHome},
				options: Options{Workspace: c.flag, Hazards: p.h},
			}
			if c.repo != "" {
				c2.agent.Scope, c2.options.Repo = manifest.ScopeRepository, c.repo
			}
			w, root := c2.workspace()
			if c.problem != "" {
				list := c2.problems
				if len(list) != 1 || !strings.HasPrefix(list[0].Error(), c.problem) {
					t.Errorf("%v, want %s", list, c.problem)
				}
				return
			}
			if len(c2.problems) > 0 || w != c.want || root != c.root {
				t.Errorf("%+v %q %v, want %+v %q", w, root, c2.problems, c.want, c.root)
			}
		})
	}
}

// A socket in a mount is a way to a program of the host (attack F1).
func TestSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "s") //nolint:usetesting // paths of sockets may only be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if found := Sockets(dir); len(found) != 0 {
		t.Errorf("found %v in a tree without any", found)
	}
	socket := filepath.Join(dir, "a/b/x.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if d := cmp.Diff([]string{socket}, Sockets(dir)); d != "" {
		t.Error(d)
	}
}
