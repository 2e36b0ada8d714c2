package fake

import (
	"path/filepath"
	"testing"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/conformance"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

const owner = "00112233445566778899aabbccddeeff"

var key = spec.Key("0123456789abcdef0123456789abcdef")

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T) (backends.Driver, conformance.Fixture) {
		d := New(Options{Path: filepath.Join(t.TempDir(), "world.json"), Owner: owner, Key: key, Version: "1"})
		s := &spec.Spec{
			ID: spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"}, Backend: d.Name(),
			Image: spec.Image{Name: "shell", Recipe: "FROM x"},
			Fixed: spec.Fixed{Backend: d.Name(), Env: []spec.Env{{Name: "HIDDEN", Kind: spec.EnvHost, Value: "HOST"}}},
			Live: spec.Live{
				Routes: []egress.Route{{Host: "api.example.com", Port: 443, Auth: &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"}}},
				Tokens: map[string]string{"EGRESS_TOKEN_0": "TOKEN"},
				Prompt: "be kind",
			},
			Files: []spec.File{{Path: spec.PromptFile, Content: []byte("be kind"), Part: spec.PartPrompt}},
		}
		return d, conformance.Fixture{
			Spec: s, Slot: "EGRESS_TOKEN_0", Key: key, Owner: owner,
			Secrets: spec.Secrets{
				Tokens:  map[string]string{"EGRESS_TOKEN_0": "value"},
				Env:     map[string]string{"HIDDEN": "x"},
				Digests: map[string]string{"EGRESS_TOKEN_0": key.Digest(s.ID.Name(), "TOKEN", "value")},
			},
			MakeForeign: func(t *testing.T, kind, name string) { change(t, d, func(w *File) { foreign(w, kind, name) }) },
			Exists: func(t *testing.T, kind, name string) (there bool) {
				change(t, d, func(w *File) {
					if kind == "volume" {
						_, there = w.Volumes[name]
					} else {
						_, there = w.Containers[name]
					}
				})
				return there
			},
			GitConfig: func(t *testing.T, id spec.ID, key string) (values []string) {
				change(t, d, func(w *File) { values = w.Containers[id.Name()].Git[key] })
				return values
			},
			Alter: func(t *testing.T, id spec.ID, role string) {
				name := id.Name()
				if role == spec.RoleSidecar {
					name = id.Sidecar()
				}
				change(t, d, func(w *File) { w.Containers[name].Altered = []string{"it is on network bridge"} })
			},
			Stop: func(t *testing.T, id spec.ID, role string) {
				name := id.Name()
				if role == spec.RoleSidecar {
					name = id.Sidecar()
				}
				change(t, d, func(w *File) { w.Containers[name].Running = false })
			},
		}
	})
}

func foreign(w *File, kind, name string) {
	labels := map[string]string{spec.LabelManaged: "1", spec.LabelOwner: "somebody-else"}
	if kind == "volume" {
		w.Volumes[name] = &Volume{Labels: labels}
		return
	}
	w.Containers[name] = &Container{Ref: "foreign", Labels: labels}
}

func change(t *testing.T, d *Driver, f func(*File)) {
	t.Helper()
	if err := d.update(func(w *File) error { f(w); return nil }); err != nil {
		t.Fatal(err)
	}
}
