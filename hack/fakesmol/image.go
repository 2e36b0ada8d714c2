package fakesmol

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// image resolves --image and --from. An archive is staged now and unpacked at
// the first start.
func (s *state) image(r *record, p *parsed) error {
	ref, pack := p.one("image"), p.one("from")
	switch {
	case p.has("image") && p.has("from"):
		return usage{"the argument '--image <IMAGE>' cannot be used with '--from <PATH>'", commands["create"].line("create")}
	case pack != "":
		if _, err := os.Stat(pack); err != nil {
			return fail("config operation failed: --from: cannot read %s: No such file or directory (os error 2)", pack)
		}
		return s.stage(r, pack)
	case ref == "":
		return nil
	case isLocal(ref):
		info, err := os.Stat(ref)
		if err != nil {
			return fail("config operation failed: --image: cannot read archive %s: No such file or directory (os error 2)", ref)
		}
		if !info.IsDir() {
			return s.stage(r, ref)
		}
		abs, err := filepath.Abs(ref)
		id := "local-dir:" + abs
		r.Image, r.Source = &id, abs
		return err
	case !r.Network:
		return fail("config operation failed: create machine: image '%s' must be pulled, which needs network: add --net", ref)
	default:
		r.Image = &ref
		return nil
	}
}

func isLocal(ref string) bool {
	for _, prefix := range []string{"/", "./", "../"} {
		if strings.HasPrefix(ref, prefix) {
			return true
		}
	}
	return strings.HasSuffix(ref, ".tar") || strings.HasSuffix(ref, ".tar.gz") || strings.HasSuffix(ref, ".tgz")
}

// pulled is where an image lies that a registry would have.
func (s *state) pulled(ref string) string {
	return s.path("registry", strings.NewReplacer("/", "_", ":", "_").Replace(ref)+".tar")
}

// stage keeps an archive under the digest of its bytes.
func (s *state) stage(r *record, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	id := "local:" + digest
	r.Image, r.Source = &id, filepath.Join(s.dir, ".cache", "smolvm-image-archives", digest)
	staged := filepath.Join(r.Source, "archive.tar")
	if _, err := os.Stat(staged); err == nil {
		return nil
	}
	if err := os.MkdirAll(r.Source, 0o700); err != nil {
		return err
	}
	if os.Link(archive, staged) == nil { // who made it replaces it whole
		return nil
	}
	return copyTo(staged, archive)
}

func copyTo(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	tmp, err := os.CreateTemp(filepath.Dir(to), ".staged-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, src)
	return errors.Join(err, tmp.Close(), os.Rename(tmp.Name(), to))
}

// root returns the machine's image as a directory, unpacked when it is not yet.
func (s *state) root(r *record) (string, imageConfig, error) {
	if r.Image == nil {
		return "", imageConfig{}, fail("storage operation failed: boot: the fake smolvm has no system of its own: give the machine an image")
	}
	if r.Source == "" {
		if archive := s.pulled(*r.Image); r.Network {
			if _, err := os.Stat(archive); err == nil {
				err = s.stage(r, archive)
				ref := r.Image
				err = errors.Join(err, s.set(r.Name, func(x *record) { x.Source = r.Source }))
				r.Image = ref
				if err != nil {
					return "", imageConfig{}, err
				}
				return s.root(r)
			}
		}
		return "", imageConfig{}, fail("agent operation failed: pull image: the fake smolvm reaches no registry: %s", *r.Image)
	}
	if strings.HasPrefix(*r.Image, "local-dir:") {
		return r.Source, imageConfig{}, nil
	}
	// Unpacking takes longer than all else that a machine does here.
	dir, err := shared("archive-"+filepath.Base(r.Source), func(to string) error {
		if err := os.Mkdir(to, 0o700); err != nil {
			return err
		}
		config, err := flatten(filepath.Join(r.Source, "archive.tar"), filepath.Join(to, "rootfs"))
		if err != nil {
			return err
		}
		b, err := json.Marshal(config)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, "config.json"), b, 0o600)
	})
	var config imageConfig
	if err == nil {
		var b []byte
		if b, err = os.ReadFile(filepath.Join(dir, "config.json")); err == nil {
			err = json.Unmarshal(b, &config)
		}
	}
	if err != nil {
		return "", config, fail("agent operation failed: flatten archive: %s", oneLine(err))
	}
	return filepath.Join(dir, "rootfs"), config, nil
}

// flatten unpacks what `docker save` writes. It is for images that tests made:
// tar guards the directory, the list of layers comes from the archive.
func flatten(archive, root string) (imageConfig, error) {
	dir, err := os.MkdirTemp(filepath.Dir(root), ".unpack-*")
	if err != nil {
		return imageConfig{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := untar(archive, dir); err != nil {
		return imageConfig{}, err
	}
	var manifest []struct {
		Config string
		Layers []string
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(b, &manifest)
	}
	if err != nil || len(manifest) == 0 {
		return imageConfig{}, fmt.Errorf("no manifest.json of docker save in the archive: %w", err)
	}
	var config struct {
		Config imageConfig `json:"config"`
	}
	b, err = os.ReadFile(filepath.Join(dir, filepath.Clean("/"+manifest[0].Config)))
	if err == nil {
		err = json.Unmarshal(b, &config)
	}
	if err != nil {
		return imageConfig{}, err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return imageConfig{}, err
	}
	for _, layer := range manifest[0].Layers {
		file := filepath.Join(dir, filepath.Clean("/"+layer))
		if err := whiteouts(file, root); err != nil {
			return imageConfig{}, err
		}
		if err := untar(file, root, "--exclude=.wh.*"); err != nil {
			return imageConfig{}, err
		}
	}
	return config.Config, nil
}

func untar(archive, dir string, more ...string) error {
	cmd := exec.Command("tar", append([]string{"-xf", archive, "-C", dir, "--numeric-owner"}, more...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w: %s", err, out)
	}
	return nil
}

// whiteouts removes what a layer says is gone from the layers below it.
func whiteouts(layer, root string) error {
	f, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer f.Close()
	at, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer at.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("layer %s: %w", filepath.Base(layer), err)
		}
		dir, base := path.Split(path.Clean(h.Name))
		gone, ok := strings.CutPrefix(base, ".wh.")
		if !ok {
			continue
		}
		if base == ".wh..wh..opq" {
			gone = "."
		}
		if err := removeBelow(at, path.Join(dir, gone), gone == "."); err != nil {
			return err
		}
	}
}

func removeBelow(at *os.Root, name string, onlyContent bool) error {
	if !onlyContent {
		return at.RemoveAll(name)
	}
	d, err := at.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	for _, n := range names {
		err = errors.Join(err, at.RemoveAll(path.Join(name, n)))
	}
	return err
}
