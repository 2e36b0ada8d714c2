package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
)

// Digest identifies what was approved: the bytes of the agent's file and the
// name of its bottle. Any change asks again.
func (a *Agent) Digest() string { return a.digest }

func agentDigest(bottle string, file [32]byte) string {
	sum := sha256.Sum256([]byte("bb agent 1\x00" + bottle + "\x00" + string(file[:])))
	return hex.EncodeToString(sum[:])
}

// leaves reports a repository's file that lies elsewhere, to say so.
func (f *file) leaves() bool {
	if f.repo == "" {
		return false
	}
	path, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(realPath(f.repo), path)
	return err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// checkRepository holds an agent from a repository against the repositories
// that its bottle is for.
func (f *file) checkRepository(b *Bottle) {
	if f.scope != ScopeRepository || b == nil || b.Repositories == nil {
		return
	}
	root := realPath(f.repo)
	for _, listed := range b.Repositories {
		if realPath(listed) == root {
			return
		}
	}
	at := b.From["repositories"]
	f.fail(f.root.get("bottle"), "add "+root+" there if you trust it",
		"bottle %q is not for this repository, see repositories in %s:%d", b.Name, at.File, at.Line)
}

// realPath follows links; what is not there stays as it is written.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return filepath.Clean(path)
}

// retired is what earlier tools read and bb does not.
const retired = "bot-bottle.json"

// findRetired warns about it wherever it used to lie.
func (w *found) findRetired(o Options) {
	for _, dir := range []string{o.Home, filepath.Dir(o.Home), o.Repo} {
		path := filepath.Join(dir, retired)
		if info, err := os.Lstat(path); dir != "" && err == nil && info.Mode().IsRegular() {
			w.warn(o.shown(path), "write bottles/NAME.md and agents/NAME.md in "+o.shown(o.Home), retired+" is not read any more")
		}
	}
}
