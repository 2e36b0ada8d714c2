package cli_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

// What the line at the end says, "" for what ran.
var realNotRun string

// TestContract holds the fake and, where one is found, the real command line
// to the same behaviour, in all that boots no machine. hack/smolvm puts the
// real one where this test finds it:
//
//	BB_SMOLVM=$(hack/smolvm) go test ./backends/smolvm/cli -run TestContract -v
//
// Facts of smolvm 1.32.2, the smol-vmm of the Python package smolmachines:
// it is the whole command line; under its own name it begins standard error
// with a note, so a failure is not always the first line; it unpacks its guest's
// root at the first call; a registry image without network is refused only at
// start; a delete without --force and without a terminal is an error; where /dev/kvm cannot be used by its confined process, start ends with
// 1, a WARN line and "KvmOpen(Error(13))", and the machine stays created.
func TestContract(t *testing.T) {
	t.Run("fake", func(t *testing.T) {
		fake := fakesmol.New(t)
		contract(t, fake.Getenv)
	})
	path := os.Getenv("BB_SMOLVM")
	if path == "" {
		path, _ = exec.LookPath("smolvm")
	}
	if path == "" {
		// No subtest: nothing of that name may count as passed.
		realNotRun = "no BB_SMOLVM, and no smolvm on PATH (hack/smolvm installs one)"
		t.Log("NOT RUN:", realNotRun)
		return
	}
	t.Run("real", func(t *testing.T) {
		data := t.TempDir()
		contract(t, func(name string) string {
			if name == "SMOLVM_DATA_DIR" {
				return data
			}
			return os.Getenv(name)
		})
	})
}

func contract(t *testing.T, getenv func(string) string) {
	ctx := t.Context()
	c, err := cli.Find(ctx, cli.Options{Getenv: getenv, Locks: filepath.Join(t.TempDir(), "locks")})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("smolvm %s", c.Version)
	if list, err := c.List(ctx); err != nil || len(list) != 0 {
		t.Fatalf("a new data directory holds %v, %v", list, err)
	}

	// Everything that a driver passes, with values that a careless parser breaks on.
	lent, root := t.TempDir(), t.TempDir()
	labels := map[string]string{"bb.managed": "1", "bb.spec-json": `{"a":"b=c","d":[1]} --net` + "\n\tü", "empty": ""}
	full := cli.Spec{
		Name: "bb-dev_2-0a1b2c", Labels: labels, Image: cli.Image{Dir: root}, CPUs: 2, Memory: 512, Storage: 5, Overlay: 3,
		Sockets: []cli.Mount{{Host: filepath.Join(lent, "not-there-yet.sock"), Guest: "/bb/door/door.sock"}},
		Volumes: []cli.Mount{{Host: lent, Guest: "/bb/bin", ReadOnly: true}},
		Workdir: "/home/node", Command: []string{"sleep", "--name", "infinity"},
	}
	create(t, c, full)
	create(t, c, cli.Spec{Name: "other"})

	off, none, one := false, 0, 1
	want := []cli.Machine{
		{Name: "bb-dev_2-0a1b2c", State: cli.Created, Labels: labels, CPUs: 2, Memory: 512, Storage: 5, Overlay: 3, Image: "local-dir:" + root, Network: &off, Mounts: &one, Ports: &none},
		{Name: "other", State: cli.Created, Labels: map[string]string{}, CPUs: 4, Memory: 8192, Network: &off, Mounts: &none, Ports: &none},
	}
	got, err := c.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(cli.Machine{}, "CreatedAt")); diff != "" {
		t.Errorf("ls --json: %s", diff)
	}
	if one, err := c.Status(ctx, full.Name); err != nil || one.CreatedAt.IsZero() || !cmp.Equal(one, got[0]) {
		t.Errorf("status --json says %+v, %v; ls --json %+v", one, err, got[0])
	}

	pulls := cli.Spec{Name: "pulls", Image: cli.Image{Ref: "no-such-image-of-bb"}, Pull: true}
	create(t, c, pulls)
	if m, err := c.Status(ctx, pulls.Name); err != nil || m.Network == nil || !*m.Network {
		t.Errorf("one that is to pull its image: %+v, %v", m, err)
	}
	puller := hold(t, c, pulls.Name)
	if err := puller.CloseNetwork(ctx); err != nil {
		t.Errorf("close its network: %v", err)
	}
	if err := puller.Delete(ctx); err != nil {
		t.Error(err)
	}
	held := hold(t, c, full.Name)
	wantKind(t, "create again", held.Create(ctx, full), cli.Exists)
	_, err = c.Status(ctx, "nobody")
	wantKind(t, "status of none", err, cli.NotFound)
	_, err = c.Exec(ctx, cli.Exec{Machine: "nobody", Argv: []string{"true"}, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}})
	wantKind(t, "exec in none", err, cli.NotFound)
	_, err = c.Exec(ctx, cli.Exec{Machine: "other", Argv: []string{"true"}, Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}})
	wantKind(t, "exec in one that does not run", err, cli.NotRunning)
	_, err = c.Run(ctx, cli.Step{Machine: "other", Argv: []string{"true"}})
	wantKind(t, "a step in one that does not run", err, cli.NotRunning)
	_, err = c.Run(ctx, cli.Step{Machine: "nobody", Argv: []string{"true"}})
	wantKind(t, "a step in none", err, cli.NotFound)

	nobody := hold(t, c, "nobody")
	wantKind(t, "start of none", nobody.Start(ctx, true), cli.NotFound)
	wantKind(t, "stop of none", nobody.Stop(ctx), cli.NotFound)
	if err := nobody.Delete(ctx); err != nil {
		t.Errorf("delete of none: %v", err)
	}
	if err := held.Stop(ctx); err != nil {
		t.Errorf("stop of one that does not run: %v", err)
	}
	for range 2 {
		if err := held.Delete(ctx); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if got, err := c.List(ctx); err != nil || len(got) != 1 || got[0].Name != "other" {
		t.Errorf("after a delete: %v, %v", got, err)
	}
	refused(t, c, lent)
	words(t, c, getenv)
}

// refused are specs that smolvm itself must refuse, past the client's checks.
func refused(t *testing.T, c *cli.Client, lent string) {
	h := hold(t, c, "refused")
	for what, want := range map[string]struct {
		spec cli.Spec
		kind cli.Kind
	}{
		"no such archive": {cli.Spec{Image: cli.Image{Archive: filepath.Join(lent, "none.tar")}}, cli.Config},
		"no such volume":  {cli.Spec{Volumes: []cli.Mount{{Host: filepath.Join(lent, "none"), Guest: "/x"}}}, cli.MountFailed},
		"system volume":   {cli.Spec{Volumes: []cli.Mount{{Host: "/etc", Guest: "/x"}}}, cli.MountFailed},
	} {
		want.spec.Name = "refused"
		wantKind(t, what, h.Create(t.Context(), want.spec), want.kind)
	}
	if _, err := c.Status(t.Context(), "refused"); !cli.IsKind(err, cli.NotFound) {
		t.Errorf("a refused machine is there: %v", err)
	}
}

// words are the exact codes and messages that the client relies on, and the
// traps that it goes around.
func words(t *testing.T, c *cli.Client, getenv func(string) string) {
	for _, w := range []struct {
		args string
		code int
		says string
	}{
		{"machine create positional", 2, "error: unexpected argument 'positional' found"},
		{"machine create --name=x --nosuch", 2, "error: unexpected argument '--nosuch' found"},
		{"machine create --name=x --name=y", 2, "cannot be used multiple times"},
		{"machine exec -n other -- true", 2, "error: unexpected argument '-n' found"},
		{"machine exec --name other", 2, "<COMMAND>..."},
		{"machine delete -f", 2, "--name <NAME>"},
		{"machine create --name x--y", 1, "Error: config operation failed: create machine: machine name cannot contain consecutive hyphens"},
		{"machine create --name x-", 1, "Error: config operation failed: create machine: machine name cannot end with a hyphen"},
		{"machine create --name _x", 1, "Error: config operation failed: create machine: machine name must start with a letter or digit"},
		{"machine create --name a.b", 1, "Error: config operation failed: create machine: machine name contains invalid character: '.'"},
		{"machine create --name " + strings.Repeat("a", 129), 1, "machine name too long: 129 characters (max 128)"},
		{"machine create --name x --label v", 1, "Error: config operation failed: --label: expected KEY=VALUE, got 'v'"},
		{"machine create --name x --label =v", 1, "label key cannot be empty"},
		{"machine create --name x --cpus 0", 1, "CPU count must be at least 1"},
		{"machine create --name x --mem 63", 1, "memory must be at least 64 MiB (got 63 MiB)"},
		{"machine create --name x --cpus many", 2, "invalid value 'many' for '--cpus <N>'"},
		{"machine create --name x --mount-socket /a:rel", 1, "guest path 'rel' must be absolute"},
		{"machine create --name x --mount-socket /a:/x --mount-socket /b:/x", 1, "mount-socket: guest path '/x' is mounted more than once"},
		{"machine status --name x", 1, "Error: vm not found: x"},
		{"machine status --name x --json", 1, "Error: config operation failed: machine status: machine 'x' not found"},
		{"machine create --name x --label a=1 --label a=2", 0, "Created machine: x"},
		{"machine stop --name x", 0, "is not running (state: created)"},
		{"machine delete --name x", -1, ""}, // 1.9 ends with 0, later ones with 1: nothing was deleted
		{"machine status --name x", 0, "Machine 'x'"},
		{"machine delete --name=x --force", 0, "Deleted machine: x"},
	} {
		cmd := exec.Command(c.Path, strings.Fields(w.args)...)
		for _, name := range []string{"PATH", "HOME", "SMOLVM_LIB_DIR", "SMOLVM_AGENT_ROOTFS_TAR", "SMOLVM_AGENT_ROOTFS"} {
			cmd.Env = append(cmd.Env, name+"="+getenv(name))
		}
		cmd.Env = append(cmd.Env, "SMOLVM_DATA_DIR="+getenv("SMOLVM_DATA_DIR"))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != w.code && w.code >= 0 || !strings.Contains(string(out), w.says) {
			t.Errorf("%.60s: ended with %d, want %d and %q:\n%s", w.args, code, w.code, w.says, out)
		}
	}
}

func create(t *testing.T, c *cli.Client, s cli.Spec) {
	t.Helper()
	h, err := c.Hold(t.Context(), s.Name)
	if err == nil {
		err = errors.Join(h.Create(t.Context(), s), h.Release())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func hold(t *testing.T, c *cli.Client, name string) *cli.Held {
	t.Helper()
	h, err := c.Hold(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Release() })
	return h
}

func wantKind(t *testing.T, what string, err error, kind cli.Kind) {
	t.Helper()
	if !cli.IsKind(err, kind) {
		t.Errorf("%s: %v, want an error of kind %s", what, err, kind)
	}
}
