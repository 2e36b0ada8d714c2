package cli_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

// program writes a shell script that answers --version and --help.
func program(t *testing.T, version, help string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "smolvm")
	script := "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '" + version + "'; else echo '" + help + "'; fi\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

const help = `
  -n, --name <NAME>
      --label <KEY=VALUE>
  -I, --image <IMAGE>
      --cpus <N>
      --mem <MiB>
      --storage <GiB>
      --overlay <GiB>
  -v, --volume <X>
      --mount-socket <X>
      --user <USER>
`

func TestFind(t *testing.T) {
	fine := program(t, "smolvm 1.8.0", help)
	c, err := cli.Find(t.Context(), cli.Options{Getenv: env("BB_SMOLVM", fine)})
	if err != nil || c.Path != fine || c.Version != cli.MinVersion || !c.Features.Has("--user") || c.Features.Has("--net") {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = cli.Find(t.Context(), cli.Options{Getenv: env("PATH", "relative:/nowhere:"+filepath.Dir(fine))})
	if err != nil || c.Path != fine {
		t.Errorf("on PATH: %+v, %v", c, err)
	}
	t.Chdir(filepath.Dir(fine))
	for what, e := range map[string]struct {
		getenv     func(string) string
		says, hint string
	}{
		"missing":           {env("PATH", "/nowhere"), "smolvm is not installed", "BB_SMOLVM"},
		"not from here":     {env("PATH", ".:"), "smolvm is not installed", "BB_SMOLVM"},
		"named, missing":    {env("BB_SMOLVM", "/nowhere/smolvm"), "BB_SMOLVM names /nowhere/smolvm, which cannot be run: no such file", "BB_SMOLVM"},
		"named, directory":  {env("BB_SMOLVM", t.TempDir()), "which cannot be run", "BB_SMOLVM"},
		"old":               {env("BB_SMOLVM", program(t, "smolvm 1.7.7", help)), "is smolvm 1.7.7, and bb needs 1.8.0 or later", "newer"},
		"without labels":    {env("BB_SMOLVM", program(t, "smolvm 1.9.2", strings.ReplaceAll(help, "--label", "--tag"))), "does not know --label", "another program"},
		"another program":   {env("BB_SMOLVM", program(t, "SmolVM CLI", help)), "does not answer as smolvm does", "BB_SMOLVM"},
		"a program failing": {env("BB_SMOLVM", "/bin/false"), "does not answer as smolvm does", "BB_SMOLVM"},
	} {
		_, err := cli.Find(t.Context(), cli.Options{Getenv: e.getenv})
		var d diag.Diagnostic
		if !errors.As(err, &d) || !strings.Contains(d.Message, e.says) || !strings.Contains(d.Hint, e.hint) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// What bb's environment holds stays with bb, and what would open a machine, or
// pick another one, never comes in by it.
func TestEnvironmentOfSmolvm(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "smolvm")
	script := "#!/bin/sh\nenv >>" + dir + "/env\n" + "exec " + program(t, "smolvm 1.9.2", help) + " \"$@\"\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	all := func(name string) string {
		if name == "BB_SMOLVM" {
			return path
		}
		if name == "PATH" {
			return os.Getenv("PATH")
		}
		return "/value-of-" + name
	}
	for _, name := range []string{"SMOLVM_MACHINE_NAME", "SMOLVM_GUEST_HOST_SERVICE", "SMOLVM_EGRESS_FLOOR", "RUST_LOG", "A_TOKEN", "HTTPS_PROXY"} {
		t.Setenv(name, "leaked")
	}
	if _, err := cli.Find(t.Context(), cli.Options{Getenv: all}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for _, bad := range []string{"leaked", "SMOLVM_MACHINE_NAME", "SMOLVM_GUEST_HOST_SERVICE", "SMOLVM_EGRESS", "A_TOKEN", "PROXY"} {
		if strings.Contains(got, bad) {
			t.Errorf("%s reached smolvm:\n%s", bad, got)
		}
	}
	if !strings.Contains(got, "SMOLVM_DATA_DIR=/value-of-SMOLVM_DATA_DIR\n") || !strings.Contains(got, "RUST_LOG=off\n") {
		t.Errorf("not what smolvm needs:\n%s", got)
	}
}

// Names and paths are refused before a program is started.
func TestRefusedBeforeSmolvm(t *testing.T) {
	fake := fakesmol.New(t)
	c, err := cli.Find(t.Context(), cli.Options{Getenv: fake.Getenv, Locks: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	c.Path = "/nowhere"
	for what, err := range map[string]error{
		"hold":       second(c.Hold(t.Context(), "../x")),
		"status":     second(c.Status(t.Context(), "--json")),
		"exec name":  second(c.Exec(t.Context(), cli.Exec{Machine: "-n", Argv: []string{"x"}})),
		"no command": second(c.Exec(t.Context(), cli.Exec{Machine: "a"})),
		"step":       second(c.Run(t.Context(), cli.Step{Machine: "a"})),
		"workdir":    second(c.Exec(t.Context(), cli.Exec{Machine: "a", Argv: []string{"x"}, Workdir: "x"})),
	} {
		if err == nil || strings.Contains(err.Error(), "/nowhere") {
			t.Errorf("%s: %v", what, err)
		}
	}
	h := hold(t, c, "a")
	if err := h.Create(t.Context(), cli.Spec{Name: "b"}); err == nil || !strings.Contains(err.Error(), "is held") {
		t.Errorf("a machine that is not held was created: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
