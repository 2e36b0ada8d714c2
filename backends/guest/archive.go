// Package guest is what the drivers do to the inside of a bottle in the same way,
// whatever it is made of. It runs nothing and knows no driver.
package guest

import (
	"archive/tar"
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Archive collects files for one upload. Directories below the agent's home
// are named one by one, so that what the agent put in their place (a link to
// somewhere else) is replaced and not followed.
type Archive struct {
	buf  bytes.Buffer
	tar  *tar.Writer
	dirs map[string]bool
	// modes are those of directories below the home that are not 0755.
	modes map[string]int64
	// below is the directory that names are relative to; "" is the root.
	below string
}

// NewArchive returns an archive of files by their absolute paths.
func NewArchive() *Archive {
	a := &Archive{dirs: map[string]bool{}, modes: map[string]int64{}}
	a.tar = tar.NewWriter(&a.buf)
	return a
}

// HomeArchive returns one that is extracted in the agent's home by the agent
// itself. The directories of s have their modes there.
func HomeArchive(s *spec.Spec) *Archive {
	a := NewArchive()
	a.below = spec.Home
	for _, f := range s.Files {
		if f.Dir && f.Part == "" {
			a.modes[f.Path] = f.Mode
		}
	}
	return a
}

// Finish ends the archive and returns it whole.
func (a *Archive) Finish() (*bytes.Buffer, error) { return &a.buf, a.tar.Close() }

// Directories lists those below the home that the archive names.
func (a *Archive) Directories() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(a.dirs)), func(dir string) bool { return dir == spec.Home })
}

// Add adds files. Those that are not root's lie below the agent's home.
func (a *Archive) Add(files ...spec.File) error {
	for _, f := range files {
		if err := a.one(f); err != nil {
			return err
		}
	}
	return nil
}

func (a *Archive) one(f spec.File) error {
	if path.Clean(f.Path) != f.Path || !path.IsAbs(f.Path) || f.Path == "/" {
		return diag.Errorf("file %s: not a clean absolute path", f.Path)
	}
	below := f.Path == spec.Home || strings.HasPrefix(f.Path, spec.Home+"/")
	if !f.Root && !below {
		return diag.Errorf("file %s: not below %s", f.Path, spec.Home)
	}
	if below {
		if err := a.parents(path.Dir(f.Path), f.Root); err != nil {
			return err
		}
	}
	mode := f.Mode & 0o777
	if f.Dir {
		a.dirs[f.Path] = true
		return a.dir(f.Path, mode, f.Root)
	}
	h := a.header(f.Path, mode, f.Root)
	h.Typeflag, h.Size = tar.TypeReg, int64(len(f.Content))
	if err := a.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := a.tar.Write(f.Content)
	return err
}

// parents makes the directories from the home down to dir.
func (a *Archive) parents(dir string, root bool) error {
	if !strings.HasPrefix(dir, spec.Home) || a.dirs[dir] || dir == a.below {
		return nil
	}
	if err := a.parents(path.Dir(dir), root); err != nil {
		return err
	}
	a.dirs[dir] = true
	mode, ok := a.modes[dir]
	if !ok {
		mode = 0o755
	}
	return a.dir(dir, mode, root && dir != spec.Home)
}

func (a *Archive) dir(name string, mode int64, root bool) error {
	h := a.header(name+"/", mode, root)
	h.Typeflag = tar.TypeDir
	return a.tar.WriteHeader(h)
}

func (a *Archive) header(name string, mode int64, root bool) *tar.Header {
	h := &tar.Header{Name: strings.TrimPrefix(name, a.below+"/"), Mode: mode, Uid: spec.UID, Gid: spec.GID}
	if root {
		h.Uid, h.Gid = 0, 0
	}
	return h
}

// Owned names the directories down to one that the agent shall own, as far as
// they are not the system's.
func (a *Archive) Owned(dir string) error {
	if strings.HasPrefix(dir, spec.Home+"/") {
		return a.parents(dir, false)
	}
	if dir == "/" {
		return nil
	}
	if err := a.Owned(path.Dir(dir)); err != nil {
		return err
	}
	return a.dir(dir, 0o755, false)
}
