package smolvm

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/conformance"
	"github.com/bot-bottle/bb/backends/docker"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

// shellRecipe is the least image that a bottle runs; gitRecipe has git.
const (
	shellRecipe = "ARG BASE\nFROM ${BASE}\nRUN useradd -m -u 1000 node\nUSER node\n"
	gitRecipe   = "ARG BASE\nFROM ${BASE}\nRUN apt-get update && apt-get install -y --no-install-recommends git && useradd -m -u 1000 node\nUSER node\n"
)

var _ Images = (*docker.Driver)(nil)

func randomHex(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

type world struct {
	*Driver
	fake     *fakesmol.Fake
	sidecars *plainSidecars
}

// newWorld is a driver over a fake smolvm of its own. Exported images are shared
// by the tests of a run.
func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("the fake smolvm makes namespaces and mounts: run this test as root")
		}
		t.Skip("the fake smolvm makes namespaces and mounts, which takes root: NOT RUN")
	}
	owner := randomHex(t, 16)
	ca, err := buildCA()
	if err != nil {
		t.Fatal(err)
	}
	images, err := docker.New(docker.Options{Owner: owner, Version: "test", Log: t.Output(), BuildCA: ca})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{fake: fakesmol.New(t), sidecars: newSidecars(t)}
	dir := t.TempDir()
	shared := filepath.Join(filepath.Dir(testBinary), "images")
	if err := os.MkdirAll(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(shared, filepath.Join(dir, "images")); err != nil {
		t.Fatal(err)
	}
	w.Driver, err = New(Options{
		Dir: dir, Owner: owner, Key: spec.Key("0123456789abcdef0123456789abcdef"), Version: "test",
		Binary: testBinary, Images: images, Sidecars: w.sidecars, Getenv: w.fake.Getenv, Log: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		logs, _ := filepath.Glob(filepath.Join(w.fake.DataDir, ".cache/smolvm/vms/*/agent-console.log"))
		for _, file := range logs {
			b, _ := os.ReadFile(file)
			t.Logf("console of a machine:\n%s", b)
		}
	})
	return w
}

func buildCA() ([]byte, error) {
	if path := os.Getenv("BB_BUILD_CA"); path != "" {
		return os.ReadFile(path)
	}
	return nil, nil
}

func newSpec(t *testing.T) *spec.Spec {
	t.Helper()
	s := &spec.Spec{
		ID:      spec.ID{Scope: randomHex(t, 8), Agent: "dev", Replica: "1"},
		Backend: "smolvm",
		Image:   spec.Image{Name: "bbtest-smol", Recipe: shellRecipe},
		Fixed: spec.Fixed{
			Backend: "smolvm", Provider: "shell",
			Env: []spec.Env{
				{Name: "PLAIN", Kind: spec.EnvLiteral, Value: "plain value"},
				{Name: "HIDDEN", Kind: spec.EnvHost, Value: "HOST_HIDDEN"},
			},
			Resources: spec.Resources{CPUs: 2, Memory: 512 << 20, PIDs: 200},
		},
		Live: spec.Live{
			Routes: []egress.Route{{
				Host: "api.example.org", Port: 443,
				Auth: &egress.Auth{Scheme: "Bearer", TokenRef: "TOKEN", Header: "Authorization", Slot: "EGRESS_TOKEN_0"},
			}},
			Tokens: map[string]string{"EGRESS_TOKEN_0": "TOKEN"},
			Prompt: "be kind",
		},
		Files: []spec.File{
			{Path: spec.PromptFile, Mode: 0o644, Content: []byte("be kind"), Part: spec.PartPrompt},
			{Path: spec.Home + "/.conf", Mode: 0o600, Content: []byte("fixed")},
		},
	}
	s.Fixed.Files = spec.FilesDigest(s.Files, "")
	return s
}

const (
	tokenValue  = "sk-test-0123456789"
	hiddenValue = "hidden-env-value"
)

func newSecrets(d *Driver, s *spec.Spec) spec.Secrets {
	return spec.Secrets{
		Tokens:  map[string]string{"EGRESS_TOKEN_0": tokenValue},
		Env:     map[string]string{"HIDDEN": hiddenValue},
		Digests: map[string]string{"EGRESS_TOKEN_0": d.opts.Key.Digest(s.ID.Name(), "TOKEN", tokenValue)},
	}
}

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T) (backends.Driver, conformance.Fixture) {
		w, s := newWorld(t), newSpec(t)
		return w.Driver, conformance.Fixture{
			Spec: s, Slot: "EGRESS_TOKEN_0", Secrets: newSecrets(w.Driver, s), Key: w.opts.Key, Owner: w.opts.Owner, Runs: true,
			Alter: w.alter,
			Git:   func(*testing.T) { s.Image = spec.Image{Name: "bbtest-smol-git", Recipe: gitRecipe} },
			Stop: func(t *testing.T, id spec.ID, role string) {
				if role == spec.RoleAgent {
					w.fake.Kill(id.Name())
					return
				}
				w.sidecars.mu.Lock()
				defer w.sidecars.mu.Unlock()
				w.sidecars.stop(id)
			},
		}
	})
}

// alter gives the machine a network in smolvm's own records.
func (w *world) alter(t *testing.T, id spec.ID, role string) {
	t.Helper()
	if role == spec.RoleSidecar {
		w.sidecars.mu.Lock()
		defer w.sidecars.mu.Unlock()
		w.sidecars.altered[id] = true
		return
	}
	w.record(t, id, func(r map[string]any) { r["Network"] = true })
}

// record changes smolvm's own record of a machine.
func (w *world) record(t *testing.T, id spec.ID, change func(map[string]any)) {
	t.Helper()
	file := filepath.Join(w.fake.DataDir, "fakesmol", "machines", id.Name()+".json")
	var record map[string]any
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &record)
	}
	if err != nil {
		t.Fatal(err)
	}
	change(record)
	if b, err = json.Marshal(record); err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
