package guest

import (
	"os"
	"path/filepath"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// OpenWorkspace opens the directory that the plan showed, and not what a link
// has put in its place since.
func OpenWorkspace(w spec.Workspace) (*os.Root, error) {
	moved := diag.Errorf("workspace %s is not the directory it was when the plan was made", w.Path).
		WithHint("look at it, then run the same command again")
	if real, err := filepath.EvalSymlinks(w.Path); err != nil || real != w.Path {
		return nil, moved
	}
	before, err := os.Lstat(w.Path)
	if err != nil || !before.IsDir() {
		return nil, moved
	}
	root, err := os.OpenRoot(w.Path)
	if err != nil {
		return nil, diag.Errorf("workspace %s: %v", w.Path, err).WithHint("it must be readable for you")
	}
	if now, err := root.Stat("."); err != nil || !os.SameFile(before, now) {
		_ = root.Close()
		return nil, moved
	}
	return root, nil
}
