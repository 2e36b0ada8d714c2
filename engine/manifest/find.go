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
	// ignored names bottles that only the repository ships.
	ignored []string
}

// find lists the manifests in scope without reading them.
func find(o Options) *found {
	w := &found{}
	w.directory(o, filepath.Join(o.Home, "bottles"), bottleKind, ScopeHome)
	w.directory(o, filepath.Join(o.Home, "agents"), agentKind, ScopeHome)
	w.findRetired(o)
	if o.Repo == "" {
		return w
	}
	base := filepath.Join(o.Repo, ".bot-bottle")
	if sameDirectory(base, o.Home) {
		return w // the home directory is itself a repository
	}
	w.ignoreBottles(o, filepath.Join(base, "bottles"))
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
			Severity: diag.Error, File: o.shown(dir), Message: "cannot read the directory: " + reason(err),
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

// ignoreBottles warns: a cloned repository must never be able to point a
// secret of the host at a place of its choice.
func (w *found) ignoreBottles(o Options, dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if name, ok := stem(entry.Name()); ok {
			w.ignored = append(w.ignored, name)
		}
	}
	w.warn(o.shown(dir), "move them to "+o.shown(filepath.Join(o.Home, "bottles"))+" if you trust them",
		"ignored: a repository cannot bring bottles")
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

// reason is the system's word for a failure, without the path it repeats.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}
