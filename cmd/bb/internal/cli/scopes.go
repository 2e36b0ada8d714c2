package cli

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// scopes are what a command sees: the home directory, and the repository that
// the working directory is in, where that has agents.
type scopes struct {
	home, repo string // ids; repo is "" outside of one
	root       string // the repository
}

func (s scopes) all() []string {
	if s.repo == "" {
		return []string{s.home}
	}
	return []string{s.home, s.repo}
}

func (s scopes) byManifest() map[manifest.Scope]string {
	return map[manifest.Scope]string{manifest.ScopeHome: s.home, manifest.ScopeRepository: s.repo}
}

// agentOf is the name by which a manifest's agent is meant, shadowed or not.
func (s scopes) agentOf(id spec.ID) string {
	if s.repo != "" && id.Scope == s.home {
		return "home/" + id.Agent
	}
	return id.Agent
}

// remember notes where each scope is declared, so that a cleanup can tell a
// directory that is gone.
func (s scopes) remember(st *state.State, home string) error {
	err := st.RememberScope(s.home, home)
	if s.repo != "" {
		err = errors.Join(err, st.RememberScope(s.repo, s.root))
	}
	return err
}

// homeExists comes before anything is written: a home that is not there is a
// mistyped one.
func (a *app) homeExists() error {
	info, err := os.Stat(a.g.Home)
	switch {
	case err == nil && !info.IsDir():
		return diag.Errorf("%s is not a directory", a.g.Home).WithHint("set BB_HOME to the directory of your manifests")
	case err != nil:
		return diag.Errorf("%s does not exist", a.g.Home).
			WithHint("write starter manifests with bb init, or set BB_HOME")
	}
	return nil
}

// scopes finds both by their real paths. A home directory inside the
// repository would let a clone grant itself what only home may grant.
func (a *app) scopes(st *state.State) (scopes, error) {
	home, err := filepath.EvalSymlinks(a.g.Home)
	if err != nil {
		return scopes{}, err
	}
	s := scopes{home: spec.ScopeID(st.Owner, home)}
	root := repository(home)
	if root == "" {
		return s, nil
	}
	if rel, err := filepath.Rel(root, home); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return scopes{}, diag.Errorf("%s lies inside the repository %s", a.g.Home, root).
			WithHint("its manifests would be the repository's to write; move it out, or set BB_HOME")
	}
	s.root, s.repo = root, spec.ScopeID(st.Owner, root)
	return s, nil
}

// repository is the nearest directory around the working directory that has
// agents of its own, by its real path; "" without one.
func repository(home string) string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return ""
	}
	for ; ; dir = filepath.Dir(dir) {
		own := filepath.Join(dir, ".bot-bottle")
		if info, err := os.Stat(filepath.Join(own, "agents")); err == nil && info.IsDir() && own != home {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// notAllowed names the repository's agents whose content nobody approved.
func notAllowed(f *manifest.Fleet, s scopes, allowed state.Allowed) []*manifest.Agent {
	return slices.DeleteFunc(slices.Clone(f.Agents), func(x *manifest.Agent) bool {
		return x.Scope != manifest.ScopeRepository || allowed.Has(s.repo, x.Name, x.Digest())
	})
}
