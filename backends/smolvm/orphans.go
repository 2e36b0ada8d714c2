package smolvm

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Orphans lists binaries of other versions that no machine has, exported images
// that no machine was made of, and sidecars of nobody. All lie in this user's
// directory alone.
func (d *Driver) Orphans(ctx context.Context) ([]backends.Orphan, error) {
	c, err := d.client(ctx)
	if err != nil {
		return nil, err
	}
	machines, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	if b, err := d.binary(); err == nil { // one without a binary has no current one
		used[d.binDir(b.digest)] = true
	}
	var labels []string
	for _, m := range machines {
		used[d.binDir(m.Labels[labelBinary])] = true
		labels = append(labels, m.Labels[spec.LabelImage])
	}
	out, err := d.opts.Sidecars.Orphans(ctx)
	if err != nil {
		return nil, err
	}
	bins, err := filepath.Glob(d.path(binPrefix + "*"))
	if err != nil {
		return nil, err
	}
	for _, dir := range bins {
		if !used[dir] {
			out = append(out, orphan("directory", dir, "bb of another version, in no machine", filepath.Join(dir, "bb")))
		}
	}
	// smolvm has a copy of its own of every archive that a machine was made of:
	// these are needed only to make the next one.
	archives, err := filepath.Glob(d.path("images", "*.tar"))
	if err != nil {
		return nil, err
	}
	if len(labels) == 0 {
		for _, file := range archives {
			out = append(out, orphan("image", file, "exported for smolvm, and no machine is left", file))
		}
	}
	return out, nil
}

func orphan(kind, path, why, sized string) backends.Orphan {
	o := backends.Orphan{Kind: kind, Name: filepath.Base(path), Ref: path, Why: why}
	if info, err := os.Stat(sized); err == nil {
		o.Size = info.Size()
	}
	return o
}

// RemoveOrphan looks again, and removes what is still an orphan.
func (d *Driver) RemoveOrphan(ctx context.Context, o backends.Orphan) error {
	left, err := d.Orphans(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(left, func(x backends.Orphan) bool { return x.Kind == o.Kind && x.Ref == o.Ref }) {
		if _, err := os.Lstat(o.Ref); os.IsNotExist(err) || !strings.HasPrefix(o.Ref, d.opts.Dir+"/") {
			return nil
		}
		return diag.Errorf("%s %s is in use, or not what it was", o.Kind, o.Name).
			WithHint("'bb cleanup' lists what is left")
	}
	if o.Kind == "sidecar" {
		return d.opts.Sidecars.RemoveOrphan(ctx, o)
	}
	return os.RemoveAll(o.Ref)
}
