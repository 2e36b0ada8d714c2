package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
)

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// extensions are the formats of a manifest, by the end of the file's name.
var extensions = []string{".md", ".yaml", ".yml", ".json", ".cue"}

// found is what a look at the directories brought to light.
type found struct {
	files    []*file
	problems diag.List
	// ignored and ignoredProviders name what only the repository ships.
	ignored, ignoredProviders []string
}

// find lists the manifests in scope without reading them.
func find(o Options) *found {
	w := &found{}
	w.directory(o, filepath.Join(o.Home, "bottles"), bottleKind, ScopeHome)
	w.directory(o, filepath.Join(o.Home, "agents"), agentKind, ScopeHome)
	w.providers(o)
	w.findRetired(o)
	if o.Repo == "" {
		return w
	}
	base := filepath.Join(o.Repo, ".bot-bottle")
	if sameDirectory(base, o.Home) {
		return w // the home directory is itself a repository
	}
	w.ignored = w.ignore(o, base, "bottles", func(e fs.DirEntry) (string, bool) { return stem(e.Name()) })
	w.ignoredProviders = w.ignore(o, base, "providers", func(e fs.DirEntry) (string, bool) { return e.Name(), true })
	w.directory(o, filepath.Join(base, "agents"), agentKind, ScopeRepository)
	return w
}

func (w *found) directory(o Options, dir string, k kind, scope Scope) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		w.problems = append(w.problems, diag.Diagnostic{
			Severity: diag.Error, File: o.shown(dir), Message: "cannot read the directory: " + diag.Cause(err).Error(),
		})
		return
	}
	byName := map[string]*file{}
	for _, entry := range entries {
		stem, ok := stem(entry.Name())
		if !ok {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		if !validName.MatchString(stem) {
			w.warn(o.shown(path), "use lower-case letters, digits and dashes, beginning with a letter",
				"skipped: the file name is not a valid name")
			continue
		}
		f := &file{kind: k, name: stem, scope: scope, path: path, shown: o.shown(path)}
		if scope == ScopeRepository {
			f.repo = o.Repo
		}
		if first := byName[stem]; first != nil {
			// Neither is taken: which one was meant is not for bb to guess.
			first.problems = append(first.problems, diag.Diagnostic{
				Severity: diag.Error, File: f.shown, Message: "second file for " + string(k) + " " + stem + ", beside " + first.shown,
				Hint: "keep one of them",
			})
			continue
		}
		byName[stem] = f
		w.files = append(w.files, f)
	}
}

// providers lists directories: each holds one provider.
func (w *found) providers(o Options) {
	dir := filepath.Join(o.Home, "providers")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.problems = append(w.problems, diag.Diagnostic{
			Severity: diag.Error, File: o.shown(dir), Message: "cannot read the directory: " + diag.Cause(err).Error(),
		})
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		if !validName.MatchString(entry.Name()) {
			w.warn(o.shown(path), "use lower-case letters, digits and dashes, beginning with a letter",
				"skipped: the directory's name is not a valid name")
			continue
		}
		path = filepath.Join(path, providerFile)
		w.files = append(w.files, &file{kind: providerKind, name: entry.Name(), scope: ScopeHome, path: path, shown: o.shown(path)})
	}
}

// ignore warns: a cloned repository must never be able to point a secret of
// the host at a place of its choice.
func (w *found) ignore(o Options, base, what string, name func(fs.DirEntry) (string, bool)) []string {
	dir := filepath.Join(base, what)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		if n, ok := name(entry); ok {
			names = append(names, n)
		}
	}
	w.warn(o.shown(dir), "move them to "+o.shown(filepath.Join(o.Home, what))+" if you trust them",
		"ignored: a repository cannot bring "+what)
	return names
}

func (w *found) warn(shown, hint, message string) {
	w.problems = append(w.problems, diag.Diagnostic{Severity: diag.Warning, File: shown, Message: message, Hint: hint})
}

// stem is a file's name without the extension, when it is a manifest's.
func stem(name string) (string, bool) {
	ext := filepath.Ext(name)
	if strings.HasPrefix(name, ".") || !slices.Contains(extensions, ext) {
		return "", false
	}
	return strings.TrimSuffix(name, ext), true
}

func sameDirectory(a, b string) bool {
	ai, err := os.Stat(a)
	if err != nil {
		return false
	}
	bi, err := os.Stat(b)
	return err == nil && os.SameFile(ai, bi)
}
