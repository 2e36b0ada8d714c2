package docker

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bot-bottle/bb/engine/diag"
)

// maxContext bounds a build context: a Dockerfile in a home directory should
// not send all of it.
const maxContext = 1 << 30

// buildContext is the directory of a user's Dockerfile.
type buildContext struct {
	dir        string
	dockerfile string // base name
	private    string // never part of a context; "" for none
	ignore     ignore
}

func openContext(dockerfile, private string) (buildContext, error) {
	c := buildContext{dir: filepath.Dir(dockerfile), dockerfile: filepath.Base(dockerfile), private: private}
	text, err := os.ReadFile(filepath.Join(c.dir, ".dockerignore"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	c.ignore, err = parseIgnore(string(text))
	if err != nil {
		return c, fmt.Errorf("%s: %w", filepath.Join(c.dir, ".dockerignore"), err)
	}
	return c, nil
}

// walk visits what belongs to the context in a fixed order, except for the
// Dockerfile. .git never does: it changes with every command of git.
func (c buildContext) walk(visit func(name, path string, info fs.FileInfo) error) error {
	total := int64(0)
	return filepath.WalkDir(c.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(c.dir, path)
		if err != nil || rel == "." || rel == c.dockerfile {
			return err
		}
		name := filepath.ToSlash(rel)
		if e.IsDir() && (e.Name() == ".git" || path == c.private || c.ignore.skipsDir(name)) {
			return filepath.SkipDir
		}
		if c.ignore.matches(name) {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if m := info.Mode(); !m.IsRegular() && !m.IsDir() && m&fs.ModeSymlink == 0 {
			return nil // sockets, devices and pipes are not files to build from
		}
		if total += info.Size(); total > maxContext {
			return diag.Errorf("build context %s is larger than %d MiB", c.dir, maxContext>>20).
				WithHint("put the Dockerfile into a directory of its own, or list what it does not need in .dockerignore")
		}
		return visit(name, path, info)
	})
}

// digest is over names, permissions and contents, not over times.
func (c buildContext) digest() (string, error) {
	sum := sha256.New()
	err := c.walk(func(name, path string, info fs.FileInfo) error {
		fmt.Fprintf(sum, "%d:%s %v\n", len(name), name, info.Mode())
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			fmt.Fprintf(sum, "%d:%s\n", len(target), target)
			return err
		case info.Mode().IsRegular():
			content := sha256.New()
			if err := hashFile(content, path); err != nil {
				return err
			}
			fmt.Fprintf(sum, "%x\n", content.Sum(nil))
		}
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

func (c buildContext) write(t *tar.Writer) error {
	return c.walk(func(name, path string, info fs.FileInfo) error {
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			var err error
			if link, err = os.Readlink(path); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		h.Name, h.Uid, h.Gid, h.Uname, h.Gname = name, 0, 0, "", ""
		if err := t.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.CopyN(t, f, info.Size())
		return err
	})
}
