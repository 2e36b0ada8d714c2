package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// From opens what a person names as a source: the root, the name in it to
// pack, and the base name of the tree. Links in the path itself are followed:
// whoever names it means what it leads to. A directory is its own root, so
// that nothing that happens to its path afterwards matters.
func From(file string) (root *os.Root, name, base string, err error) {
	file, err = filepath.Abs(file)
	if err != nil {
		return nil, "", "", err
	}
	base = filepath.Base(file)
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil, "", "", fmt.Errorf("%s: %w", Shown(file), cause(err))
	}
	if real == "/" {
		return nil, "", "", errors.New("/ is the whole system")
	}
	info, err := os.Lstat(real)
	if err != nil {
		return nil, "", "", fmt.Errorf("%s: %w", Shown(file), cause(err))
	}
	name = "."
	dir := real
	if !info.IsDir() {
		dir, name = filepath.Split(real)
	}
	if root, err = os.OpenRoot(dir); err != nil {
		return nil, "", "", fmt.Errorf("%s: %w", Shown(file), cause(err))
	}
	return root, name, base, nil
}

// Merges reports that a source names the content of a directory, as cp -r
// understands it: ".", "dir/." and "..".
func Merges(file string) bool {
	last := file[strings.LastIndexByte(file, '/')+1:]
	return last == "." || last == ".."
}

// To finds where a tree of the given base name goes, as cp -r does: into a
// directory that exists, else under the name given, in a directory that
// exists. With an empty base the content itself goes to file. The options say
// the rest to Unpack.
func To(file, base string) (root *os.Root, o Options, err error) {
	slash := strings.HasSuffix(file, "/")
	if file, err = filepath.Abs(file); err != nil {
		return nil, o, err
	}
	dir := filepath.Dir(file)
	o.As, o.Dir = filepath.Base(file), slash || base == ""
	info, err := os.Stat(file)
	switch {
	case err == nil && info.IsDir():
		dir, o.As, o.Dir = file, base, base == ""
		if base == "" {
			o.As = "."
		}
	case err == nil && slash:
		return nil, o, fmt.Errorf("%s is not a directory", Shown(file))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, o, fmt.Errorf("%s: %w", Shown(file), cause(err))
	}
	if root, err = os.OpenRoot(dir); err != nil {
		return nil, o, fmt.Errorf("%s: %w", Shown(dir), cause(err))
	}
	return root, o, nil
}
