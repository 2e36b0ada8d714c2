package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
)

type editCmd struct {
	Name string `arg:"" help:"An agent, a bottle or a provider; agents/NAME, bottles/NAME or providers/NAME where several exist."`
}

// Run opens the manifest in the editor and validates what was saved. Where it
// has mistakes it offers to open it again.
func (c *editCmd) Run(ctx context.Context, a *app) error {
	path, err := a.manifestFile(c.Name)
	if err != nil {
		return err
	}
	for {
		if err := a.edit(ctx, path); err != nil {
			return err
		}
		_, problems := manifest.Load(manifest.Options{Home: a.g.Home})
		a.warn(problems)
		if !problems.HasErrors() {
			_, err := fmt.Fprintln(a.stdout, "valid; see what it changes with bb plan")
			return err
		}
		if a.ask("Open it again?", "") != nil {
			return exitError{code: exitFailed}
		}
	}
}

// edit opens a file in the editor of this terminal, and waits for its end.
func (a *app) edit(ctx context.Context, path string) error {
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"))
	if editor == "" {
		return diag.Errorf("there is no editor").WithHint("set EDITOR, for example: export EDITOR=nano")
	}
	// EDITOR may hold arguments: the shell splits it, as git does.
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	if err := cmd.Run(); err != nil {
		return diag.Errorf("the editor failed: %v", err).WithHint("EDITOR is %q", editor)
	}
	return nil
}

// manifestFile finds the one file that a name means.
func (a *app) manifestFile(name string) (string, error) {
	kinds := []string{"agents", "bottles", "providers"}
	if kind, rest, ok := strings.Cut(name, "/"); ok {
		kinds, name = []string{strings.TrimSuffix(kind, "s") + "s"}, rest
	}
	var found, known []string
	for _, kind := range kinds {
		entries, _ := os.ReadDir(filepath.Join(a.g.Home, kind)) // what is not there holds nothing
		for _, e := range entries {
			stem := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name()))
			known = append(known, stem)
			if stem == name {
				path := filepath.Join(a.g.Home, kind, e.Name())
				if kind == "providers" { // a directory, named as it is
					path = filepath.Join(path, "provider.cue")
				}
				found = append(found, path)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		d := diag.Errorf("there is no manifest %q", name)
		if s := diag.Suggest(name, known); s != "" {
			return "", d.WithHint("did you mean %q?", s)
		}
		return "", d.WithHint("bb list shows what there is, bb init writes starters")
	}
	return "", diag.Errorf("%q is several manifests", name).WithHint("say agents/%s, bottles/%s or providers/%s", name, name, name)
}
