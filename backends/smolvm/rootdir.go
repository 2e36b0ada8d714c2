package smolvm

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// A directory is exported as an image of one layer: smolvm would lend it to the
// machine as it is, and what bb and the agent write in one bottle would be in
// the user's directory and in all others.

// entry is one name below the directory, with all that its archive shows of it.
type entry struct {
	header tar.Header
	path   string
	link   string // what tells hard links of one file: device and inode
}

// walkRoot visits a root directory in the order of its names.
func walkRoot(root string, visit func(entry) error) error {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	owner, err := ownerOf(root)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s, ok := info.Sys().(*syscall.Stat_t)
		if !ok || info.Mode()&fs.ModeSocket != 0 {
			return nil // nobody listens there
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(path); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		e := entry{path: path, header: tar.Header{
			Typeflag: h.Typeflag, Name: name, Linkname: target, Size: h.Size, Mode: h.Mode,
			ModTime: info.ModTime(), Devmajor: h.Devmajor, Devminor: h.Devminor,
		}}
		if d.IsDir() {
			e.header.Name += "/"
		}
		e.header.Uid, e.header.Gid = owner(name, int(s.Uid), int(s.Gid))
		if info.Mode().IsRegular() && s.Nlink > 1 {
			e.link = fmt.Sprint(s.Dev, " ", s.Ino)
		}
		return visit(e)
	})
}

// ownerOf says whose files are. What a user unpacked without being root is all
// the user's: there the system is root's, and the agent's home the agent's.
func ownerOf(root string) (func(name string, uid, gid int) (int, int), error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || s.Uid == 0 {
		return func(_ string, uid, gid int) (int, int) { return uid, gid }, nil
	}
	home := strings.TrimPrefix(spec.Home, "/")
	return func(name string, uid, gid int) (int, int) {
		switch {
		case uint32(uid) != s.Uid:
			return uid, gid
		case name == home || strings.HasPrefix(name, home+"/"):
			return spec.UID, spec.GID
		}
		return 0, 0
	}, nil
}

// rootDigest changes with every name, mode, owner, size and time below a
// directory: reading gigabytes for each plan would be worse than a copy too many.
func rootDigest(root string) (string, error) {
	sum := sha256.New()
	err := walkRoot(root, func(e entry) error {
		h := e.header
		_, err := fmt.Fprintf(sum, "%q %q %c %o %d %d %d %d %d %d\n", h.Name, h.Linkname, h.Typeflag, h.Mode,
			h.Uid, h.Gid, h.Size, h.ModTime.UnixNano(), h.Devmajor, h.Devminor)
		return err
	})
	if err != nil {
		return "", diag.Errorf("image %s: %v", root, diag.Cause(err)).
			WithHint("bb reads all of it: run bb as who may, or name an archive of 'docker save'")
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// layer writes the files below root as the layer of an image.
func layer(root string, to io.Writer) error {
	w := tar.NewWriter(to)
	links := map[string]string{}
	err := walkRoot(root, func(e entry) error {
		e.header.ModTime = e.header.ModTime.Truncate(time.Second)
		if first := links[e.link]; first != "" {
			e.header.Typeflag, e.header.Linkname, e.header.Size = tar.TypeLink, first, 0
		} else if e.link != "" {
			links[e.link] = e.header.Name
		}
		if e.header.Typeflag != tar.TypeReg {
			return w.WriteHeader(&e.header)
		}
		// A link that took its place meanwhile leads nowhere.
		f, err := os.OpenFile(e.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := w.WriteHeader(&e.header); err != nil {
			return err
		}
		if _, err := io.CopyN(w, f, e.header.Size); err != nil {
			return fmt.Errorf("%s changed while it was read: %w", e.path, err)
		}
		return nil
	})
	return cmp.Or(err, w.Close())
}

// saveRoot writes a directory as `docker save` writes an image. The layer goes
// to a file first: its size stands before it.
func saveRoot(root, scratch string, to io.Writer) (err error) {
	f, err := os.OpenFile(scratch, os.O_RDWR|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(scratch)) }()
	sum := sha256.New()
	if err := layer(root, io.MultiWriter(f, sum)); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	const layerName, config = "layer.tar", "config.json"
	about, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum.Sum(nil))}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": config, "RepoTags": nil, "Layers": []string{layerName}}})
	if err != nil {
		return err
	}
	w := tar.NewWriter(to)
	for _, part := range []struct {
		name    string
		size    int64
		content io.Reader
	}{
		{layerName, size, f},
		{config, int64(len(about)), strings.NewReader(string(about))},
		{"manifest.json", int64(len(manifest)), strings.NewReader(string(manifest))},
	} {
		if err := w.WriteHeader(&tar.Header{Name: part.name, Mode: 0o644, Size: part.size, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := io.Copy(w, part.content); err != nil {
			return err
		}
	}
	return w.Close()
}
