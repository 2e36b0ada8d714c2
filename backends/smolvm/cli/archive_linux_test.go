package cli_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bot-bottle/bb/hack/fakesmol"
)

// savedImage writes an image as `docker save` does: a few programs of the base
// image, and a layer that removes a file and empties a directory.
func savedImage(t *testing.T) string {
	t.Helper()
	small := filepath.Join(t.TempDir(), "root")
	const script = `set -eu
mkdir -p "$2/bin" "$2/etc" "$2/srv"
cp "$1/etc/passwd" "$2/etc/"
for p in sh id tr ls sleep; do
	cp -L "$1/bin/$p" "$2/bin/$p"
	for lib in $(chroot "$1" ldd "/bin/$p" | grep -o '/[^ ]*'); do mkdir -p "$2$(dirname "$lib")"; cp -L "$1$lib" "$2$lib"; done
done
tar -c -C "$2" --numeric-owner .`
	cmd := exec.Command("sh", "-c", script, "sh", fakesmol.Root(t, "debian:bookworm-slim"), small)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	base, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errOut.String())
	}
	config, err := json.Marshal(map[string]any{"config": map[string]any{
		"Env": []string{"WORD=from the image"}, "WorkingDir": "/srv", "User": "1000", "Entrypoint": []string{"/bin/sleep"}, "Cmd": []string{"1234"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "Layers": []string{"1/layer.tar", "2/layer.tar", "3/layer.tar"}}})
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "image.tar")
	image := tarOf(t, map[string]string{
		"manifest.json": string(manifest), "config.json": string(config), "1/layer.tar": string(base),
		"2/layer.tar": string(tarOf(t, map[string]string{"keep/a": "", "keep/b": "", "opq/old": ""})),
		"3/layer.tar": string(tarOf(t, map[string]string{"keep/.wh.a": "", "opq/.wh..wh..opq": "", "opq/new": ""})),
	})
	if err := os.WriteFile(to, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
