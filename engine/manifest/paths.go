package manifest

import (
	"os"
	"path/filepath"
	"strings"
)

// ShownPath is a path as people should read it: relative to the working
// directory when below it, else absolute.
func ShownPath(path string) string {
	cwd, err := os.Getwd()
	if err != nil {
		return path
	}
	return shownFrom(cwd, path)
}

func shownFrom(cwd, path string) string {
	rel, err := filepath.Rel(cwd, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return path
	}
	return rel
}

// hostPath resolves a path that a manifest names: "~/" is the user's home, and
// a relative one starts at the manifest's own directory.
func (f *file) hostPath(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(f.path), path)
}
