package fake

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress/door"
	"github.com/bot-bottle/bb/egress/door/tree"
	"github.com/bot-bottle/bb/engine/spec"
)

var _ backends.Archiver = (*Driver)(nil)

// Archive packs what stands for the files of an agent that does not run, as an
// engine would: with all that is in it.
func (d *Driver) Archive(_ context.Context, id spec.ID, path string, out io.Writer) error {
	return d.view(func(w *File) error {
		c, err := d.ours(w, id, spec.RoleAgent)
		if err != nil || c.Running {
			return cmp.Or(err, fmt.Errorf("%s runs", id))
		}
		if err := w.fault("archive", id.String()); err != nil {
			return err
		}
		root := w.root(c)
		if _, err := os.Lstat(filepath.Join(root, path)); root == "" || err != nil {
			return fs.ErrNotExist
		}
		top, name, base, err := tree.From(filepath.Join(root, path))
		if err != nil {
			return err
		}
		defer top.Close()
		_, err = tree.Pack(top, name, out, tree.Options{As: base, Bottle: true, Skip: true})
		return err
	})
}

// root is the directory that stands for a bottle's files; "" means none does.
func (w *File) root(c *Container) string { return cmp.Or(c.Root, w.Root) }

// carry does what bb in a bottle does for a copy; root stands for /.
func carry(root string, r backends.ExecRequest) (code int, err error) {
	guest := r.Argv[len(r.Argv)-1]
	path := filepath.Join(root, guest)
	if strings.HasSuffix(guest, "/") {
		path += "/"
	}
	if r.Argv[2] == "talks" {
		return 0, talks(root, path, r)
	}
	c := door.Copy{Any: slices.Contains(r.Argv, "--any"), Skip: slices.Contains(r.Argv, "--skip"), Optional: slices.Contains(r.Argv, "--optional")}
	for _, arg := range r.Argv {
		if base, ok := strings.CutPrefix(arg, "--base="); ok {
			c.Base = base
		}
	}
	var done tree.Report
	if r.Argv[2] == "pack" {
		done, err = door.Pack(path, c, r.Stdout)
	} else {
		done, err = door.Unpack(path, c, r.Stdin)
	}
	if err != nil {
		_, err = fmt.Fprintf(r.Stderr, "bb: %s\n", strings.ReplaceAll(err.Error(), root, ""))
		return 1, err
	}
	_, err = io.WriteString(r.Stderr, done.Refused.LeftOut())
	return 0, err
}

// talks answers as the bottle would: its life began when the file "began" did.
func talks(root, dir string, r backends.ExecRequest) error {
	pattern := ""
	for _, arg := range r.Argv {
		if match, ok := strings.CutPrefix(arg, "--match="); ok {
			pattern = match
		}
	}
	t, err := door.Talks(dir, pattern)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(filepath.Join(root, door.BeganFile)); err == nil {
		t.Began = info.ModTime().UnixNano()
	}
	return json.NewEncoder(r.Stdout).Encode(t)
}
