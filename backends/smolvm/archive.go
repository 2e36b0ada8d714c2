package smolvm

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// maxConfig bounds the configuration of an image and its list of layers.
const maxConfig = 4 << 20

// asRoot copies what `docker save` wrote and makes its image start as root with
// nothing of its own: bb prepares the machine, and then becomes the agent's
// user. The list of layers and the new configuration come last; what says the
// same in another form (OCI) is left out, so that there is one truth.
func asRoot(to io.Writer, from io.Reader) error {
	w := tar.NewWriter(to)
	small := map[string][]byte{}
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the image's archive: %w", err)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "./"))
		switch name {
		case "manifest.json", "index.json", "oci-layout", "repositories":
			if small[name], err = io.ReadAll(io.LimitReader(r, maxConfig)); err != nil {
				return err
			}
			continue
		}
		var content io.Reader = r
		if h.Typeflag == tar.TypeReg && h.Size < maxConfig {
			b, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			// Configurations are JSON; a layer is a tar and never begins so.
			if len(b) > 0 && b[0] == '{' {
				small[name] = b
			}
			content = strings.NewReader(string(b))
		}
		h.Name = name
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(w, content); err != nil {
			return err
		}
	}
	manifest, config, err := rewritten(small)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		b    []byte
	}{{configName, config}, {"manifest.json", manifest}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.b)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := w.Write(f.b); err != nil {
			return err
		}
	}
	return w.Close()
}

const configName = "bb-config.json"

func rewritten(small map[string][]byte) (manifest, config []byte, err error) {
	var list []map[string]any
	if json.Unmarshal(small["manifest.json"], &list) != nil || len(list) == 0 {
		return nil, nil, errors.New("no manifest.json of `docker save` in the image's archive")
	}
	name, _ := list[0]["Config"].(string)
	var all map[string]any
	if json.Unmarshal(small[path.Clean(name)], &all) != nil || all == nil {
		return nil, nil, errors.New("no configuration in the image's archive")
	}
	own, _ := all["config"].(map[string]any)
	if own == nil {
		own = map[string]any{}
	}
	own["User"], own["Entrypoint"], own["Cmd"] = "0:0", nil, nil
	delete(own, "Healthcheck")
	delete(own, "Volumes")
	all["config"] = own
	if config, err = json.Marshal(all); err != nil {
		return nil, nil, err
	}
	manifest, err = json.Marshal([]map[string]any{{"Config": configName, "RepoTags": nil, "Layers": list[0]["Layers"]}})
	return manifest, config, err
}

// plainTar opens an archive that may be compressed.
func plainTar(f io.Reader) (io.Reader, error) {
	b := bufio.NewReader(f)
	head, err := b.Peek(4)
	if err != nil {
		return nil, err
	}
	switch {
	case head[0] == 0x1f && head[1] == 0x8b:
		return gzip.NewReader(b)
	case string(head) == "\x28\xb5\x2f\xfd":
		return nil, errors.New("it is compressed with zstd: unpack it with 'zstd -d' first")
	}
	return b, nil
}
