package hack_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayStart are the only files of bb that start a program where bb runs, and
// what for. No other may: above all, nothing runs git, a hook, a build or a
// task of a tree that an agent or a repository wrote (attacks F3, F4 and F11).
// Programs in bottles are started by a driver, through its engine.
var mayStart = map[string]string{
	"cmd/bb/internal/cli/relaystart.go":   "bb itself, as the relay to the ssh-agent",
	"cmd/bb/internal/cli/dashcommand.go":  "bb itself, as the command that a key stands for, and as the screen",
	"cmd/bb/internal/dash/source.go":      "nothing: it names what the one above made",
	"cmd/bb/internal/dash/command.go":     "what the one above made, beside the screen or on its terminal",
	"cmd/bb/internal/dash/guard.go":       "what the one above made, as the screen",
	"cmd/bb/internal/dash/job.go":         "nothing: it tells how those ended",
	"cmd/bb/internal/cli/edit.go":         "the user's editor, on a manifest of the user's home",
	"egress/child/child.go":               "what the sidecar runs: only for those in this list",
	"egress/pipelock/child.go":            "pipelock, beside the sidecar, which the user's bb put into its image",
	"egress/gitgate/git.go":               "git, as below, and bb as its hook",
	"egress/gitgate/leaks/run.go":         "bb itself, which searches what is pushed",
	"egress/gitgate/upstream/run.go":      "git of the sidecar's image, on a bare repository of the gate, with no hooks and no settings but bb's",
	"egress/gitgate/gittest/https.go":     "git, for tests",
	"egress/gitgate/gittest/repo.go":      "git, for tests",
	"egress/gitgate/gittest/ssh.go":       "sshd, for tests",
	"egress/door/session/start_linux.go":  "the command of a session, in the bottle",
	"engine/host/command.go":              "a token's command, which a bottle of the user's home names",
	"backends/smolvm/cli/run.go":          "smolvm, which the user installed or names",
	"backends/smolvm/hostside/process.go": "bb itself, as a machine's sidecar",
	"backends/smolvm/hostside/confine.go": "bb itself, in the place of the process that confined itself",
	"backends/smolvm/hostside/ctl.go":     "bb itself, which speaks to such a sidecar",
	"backends/docker/ssh.go":              "ssh, to the engine that the user names",
}

func TestOnlyTheseStartPrograms(t *testing.T) {
	var found []string
	for _, room := range []string{"cmd", "engine", "backends", "egress", "cue"} {
		err := filepath.WalkDir(filepath.Join("..", room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == "testdata" {
				return cmpDir(err)
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if how := starts(t, path, text); how != "" {
				name, _ := filepath.Rel("..", path)
				found = append(found, filepath.ToSlash(name))
				if mayStart[filepath.ToSlash(name)] == "" {
					t.Errorf("%s starts programs: %s", name, how)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range mayStart {
		if !slices.Contains(found, name) {
			t.Errorf("%s starts nothing any more: take it from the list", name)
		}
	}
}

// cmpDir skips a directory unless the walk failed.
func cmpDir(err error) error {
	if err != nil {
		return err
	}
	return fs.SkipDir
}

// starts says how a file could start a program, or "".
func starts(t *testing.T, path string, text []byte) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		if name, _ := strconv.Unquote(i.Path.Value); name == "os/exec" || name == "plugin" {
			return "imports " + name
		} else if name == module+"/egress/child" && i.Name != nil {
			return "imports " + name + " under another name"
		}
	}
	how := ""
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && (x.Name == "os" || x.Name == "syscall" || x.Name == "unix") {
				switch s.Sel.Name {
				case "StartProcess", "ForkExec", "Exec", "SYS_EXECVE", "SYS_EXECVEAT":
					how = x.Name + "." + s.Sel.Name
				}
			} else if ok && x.Name == "child" && s.Sel.Name == "Run" {
				how = "child.Run"
			}
		}
		return true
	})
	return how
}

func TestStartsSees(t *testing.T) {
	for text, want := range map[string]string{
		`package x; import "os/exec"; var _ = exec.Command`:                   "imports os/exec",
		`package x; import e "os/exec"; var _ = e.Command`:                    "imports os/exec",
		`package x; import "os"; var _ = os.StartProcess`:                     "os.StartProcess",
		`package x; import "syscall"; var _ = syscall.Exec`:                   "syscall.Exec",
		`package x; import "syscall"; var _ = syscall.ForkExec`:               "syscall.ForkExec",
		`package x; import "` + module + `/egress/child"; var _ = child.Run`:  "child.Run",
		`package x; import c "` + module + `/egress/child"; var _ = c.Run`:    "imports " + module + "/egress/child under another name",
		`package x; import "` + module + `/egress/child"; var _ child.Limits`: "",
		`package x; import "os"; var _ = os.Open`:                             "",
		`package x; type d struct{}; func (d) Exec() {}; var y d`:             "",
	} {
		if got := starts(t, "x.go", []byte(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
