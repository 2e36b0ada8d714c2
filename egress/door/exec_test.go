package door

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func playExec() int {
	p, err := find(os.Getenv("DOOR_TEST_ENV"), os.Args[1:], os.Environ())
	if err == nil {
		err = p.Failed(syscall.Exec(p.Path, p.Argv, p.Env))
	}
	fmt.Fprintln(os.Stderr, err)
	if e, ok := errors.AsType[*ExecError](err); ok {
		return e.Code
	}
	return 98
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func TestExec(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "plain"), "no program", 0o644)
	write(t, filepath.Join(dir, "broken"), "#!/no/such/interpreter\n", 0o755)
	write(t, filepath.Join(dir, "garbage"), "\x01\x02\x03", 0o755)
	write(t, filepath.Join(dir, "show"), "#!/bin/sh\necho \"$FOO|$BAR|$1\"; exit 7\n", 0o755)
	env := filepath.Join(dir, "env")
	write(t, env, "FOO=from file\x00BAR=a=b\nc\x00PATH="+dir+":/usr/bin:/bin\x00", 0o400)

	type result struct {
		Code   int
		Output string
	}
	tests := []struct {
		name string
		args []string
		want result
	}{
		{"environment and code", []string{"show", "an arg"}, result{7, "from file|a=b\nc|an arg\n"}},
		{"by path", []string{dir + "/show", "x"}, result{7, "from file|a=b\nc|x\n"}},
		{"unknown", []string{"no-such-thing"}, result{127, "no-such-thing: command not found\n"}},
		{"unknown path", []string{"/no/such"}, result{127, "/no/such: command not found\n"}},
		{"file as directory", []string{dir + "/plain/x"}, result{127, dir + "/plain/x: command not found\n"}},
		{"not executable", []string{"plain"}, result{126, "plain: cannot run: permission denied\n"}},
		{"directory", []string{"/tmp/"}, result{126, "/tmp/: cannot run: is a directory\n"}},
		{"no interpreter", []string{"broken"}, result{126, "broken: cannot run: its interpreter or loader does not exist\n"}},
		{"no format", []string{"garbage"}, result{126, "garbage: cannot run: exec format error\n"}},
		{"nothing", nil, result{127, "no command given\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], tt.args...)
			cmd.Env = []string{"DOOR_TEST_ROLE=exec", "DOOR_TEST_ENV=" + env, "FOO=from outside", "PATH=/nowhere", "GOCOVERDIR=" + dir}
			out, err := cmd.CombinedOutput()
			if _, ok := errors.AsType[*exec.ExitError](err); !ok {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, result{cmd.ProcessState.ExitCode(), string(out)}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestExecPassesOverTheWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "git"), "#!/bin/sh\n", 0o755)
	t.Chdir(dir)
	for _, path := range []string{"", ".", ":", "bin:.", ".."} {
		if found, err := findProgram("git", path); err == nil {
			t.Errorf("PATH=%q finds %s in the workspace", path, found)
		}
	}
}

func TestExecWithoutEnvFile(t *testing.T) {
	got, err := find("/no/such/env", []string{"/bin/sh"}, []string{"A=1"})
	want := &Program{Path: "/bin/sh", Argv: []string{"/bin/sh"}, Env: []string{"A=1"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestMergeEnv(t *testing.T) {
	got := mergeEnv([]string{"A=1", "B=2", "A=3"}, []string{"C=4", "B=", "C=5"})
	if diff := cmp.Diff([]string{"A=3", "B=", "C=5"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestStoreEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bb", "env")
	for _, content := range []string{"A=1\x00B=two\nlines\x00", "A=2", ""} {
		if err := storeEnv(file, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if diff := cmp.Diff(content, string(got)); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o400 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
}

func TestStoreEnvKeepsTheOldOnBadInput(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "env")
	if err := storeEnv(file, strings.NewReader("A=1\x00")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"SECRETVALUE", "=SECRETVALUE", "A=1\x00\x00B=2", "A=" + strings.Repeat("x", maxEnv)} {
		err := storeEnv(file, strings.NewReader(bad))
		if err == nil || strings.Contains(err.Error(), "SECRETVALUE") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "A=1\x00" {
		t.Errorf("now %q, %v", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestExecDoesNotHangOnAnOddEnvFile(t *testing.T) {
	dir := t.TempDir()
	pipe, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Symlink("/dev/zero", link)); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{pipe, link, dir} {
		_, err := find(file, []string{"/bin/sh"}, nil)
		if e, ok := errors.AsType[*ExecError](err); !ok || e.Code != codeCannotRun {
			t.Errorf("%s: %v", file, err)
		}
	}
}
