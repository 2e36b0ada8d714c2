package smolvm

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func tarOf(t *testing.T, files map[string]string) *bytes.Buffer {
	t.Helper()
	b := &bytes.Buffer{}
	w := tar.NewWriter(b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

func untar(t *testing.T, from io.Reader) map[string]string {
	t.Helper()
	files := map[string]string{}
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		b, readErr := io.ReadAll(r)
		if err = errors.Join(err, readErr); err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(b)
	}
}

// Both forms of `docker save`, old and new, become one: root, no command, the
// layers as they were, and no second description.
func TestAsRoot(t *testing.T) {
	const config = `{"architecture":"amd64","config":{"User":"node","Env":["A=b"],"Cmd":["x"],"Entrypoint":["y"],"Volumes":{"/v":{}}},"rootfs":{"type":"layers","diff_ids":["sha256:1"]}}`
	layer := strings.Repeat("layer", 1000)
	for what, files := range map[string]map[string]string{
		"old": {
			"0123.json": config, "a/layer.tar": layer, "a/json": `{"id":"a"}`, "repositories": "{}",
			"manifest.json": `[{"Config":"0123.json","RepoTags":["x:1"],"Layers":["a/layer.tar"]}]`,
		},
		"new": {
			"blobs/sha256/0123": config, "blobs/sha256/4567": layer, "index.json": "{}", "oci-layout": "{}",
			"manifest.json": `[{"Config":"blobs/sha256/0123","Layers":["blobs/sha256/4567"]}]`,
		},
	} {
		out := &bytes.Buffer{}
		if err := asRoot(out, tarOf(t, files)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got := untar(t, out)
		var manifest []struct {
			Config string
			Layers []string
		}
		if err := json.Unmarshal([]byte(got["manifest.json"]), &manifest); err != nil || len(manifest) != 1 {
			t.Fatalf("%s: %v %s", what, err, got["manifest.json"])
		}
		var have map[string]any
		if err := json.Unmarshal([]byte(got[manifest[0].Config]), &have); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": []any{"sha256:1"}},
			"config": map[string]any{"User": "0:0", "Env": []any{"A=b"}, "Cmd": nil, "Entrypoint": nil},
		}
		if d := cmp.Diff(want, have); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
		if got[manifest[0].Layers[0]] != layer {
			t.Errorf("%s: the layer is another", what)
		}
		for _, name := range []string{"index.json", "oci-layout", "repositories"} {
			if _, there := got[name]; there {
				t.Errorf("%s: %s describes it too", what, name)
			}
		}
	}
	for what, in := range map[string]io.Reader{
		"no archive": strings.NewReader("FROM x\n"), "no manifest": tarOf(t, map[string]string{"a": "b"}),
		"no configuration": tarOf(t, map[string]string{"manifest.json": `[{"Config":"x","Layers":[]}]`}),
	} {
		if err := asRoot(io.Discard, in); err == nil {
			t.Errorf("%s was taken for an image", what)
		}
	}
}
