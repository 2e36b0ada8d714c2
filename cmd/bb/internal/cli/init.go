package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bot-bottle/bb/examples"
)

type initCmd struct {
	Yes bool `short:"y" help:"Do not ask."`
}

// Run writes the starter manifests. What exists is never overwritten.
func (c *initCmd) Run(a *app) error {
	var missing []string
	err := fs.WalkDir(examples.Files, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		to := filepath.Join(a.g.Home, filepath.FromSlash(path))
		switch _, err := os.Lstat(to); {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, path)
		case err != nil:
			return err
		default:
			fmt.Fprintf(a.stdout, "kept     %s\n", a.style(a.stdout).Path(to))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		_, err := fmt.Fprintln(a.stdout, "Nothing to write: all starter manifests are there.")
		return err
	}
	if err := a.confirm(c.Yes, fmt.Sprintf("Write %d starter manifests to %s?", len(missing), a.g.Home)); err != nil {
		return err
	}
	for _, path := range missing {
		if err := a.writeStarter(path); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(a.stdout, "\nNext: look into bottles/dev.md, then bb validate, bb plan and bb apply.")
	return err
}

func (a *app) writeStarter(path string) error {
	b, err := examples.Files.ReadFile(path)
	if err != nil {
		return err
	}
	to := filepath.Join(a.g.Home, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	fmt.Fprintf(a.stdout, "written  %s\n", a.style(a.stdout).Path(to))
	return f.Close()
}
