package smolvm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// staleCopy is how old a copy of bb is that nobody is still writing.
const staleCopy = 10 * time.Minute

const cutOff = "left behind by an apply that was cut off"

// inUse is what this owner's machines and sidecars have, and what the next ones
// will be made of.
type inUse struct {
	names    map[string]bool // of machines and sidecars
	binaries map[string]bool // by their digests
	archives map[string]bool // by their keys
	programs map[string]bool // copies of bb that sidecars run, by their names
	// all archives are kept where a machine does not say what it was made of.
	all bool
}

func (d *Driver) inUse(ctx context.Context) (inUse, error) {
	u := inUse{names: map[string]bool{}, binaries: map[string]bool{}, archives: map[string]bool{}, programs: map[string]bool{}}
	c, err := d.client(ctx)
	if err != nil {
		return u, err
	}
	machines, err := c.List(ctx)
	if err != nil {
		return u, err
	}
	for _, m := range machines {
		if m.Labels[spec.LabelOwner] != d.opts.Owner {
			continue
		}
		u.names[m.Name], u.binaries[m.Labels[labelBinary]], u.archives[m.Labels[labelArchive]] = true, true, true
		u.all = u.all || m.Labels[labelArchive] == ""
	}
	sidecars, err := d.opts.Sidecars.List(ctx)
	if err != nil {
		return u, err
	}
	for _, x := range sidecars {
		u.names[x.ID.Name()] = true
		if x.Part != nil {
			u.programs[x.Part.Image] = true
		}
	}
	for _, s := range d.wanted {
		// What is wrong with one is not what a cleanup is about.
		if i, err := d.resolve(ctx, s); err == nil {
			u.archives[i.key()] = true
		}
	}
	return u, nil
}

// Want keeps what these are made of from being an orphan.
func (d *Driver) Want(specs []*spec.Spec) { d.wanted = specs }

// Orphans lists what lies in this user's directory and serves nothing: binaries
// that no machine has, exported images that none was made of, sidecars of nobody,
// the programs of those that are gone, and what a bb that was killed left.
func (d *Driver) Orphans(ctx context.Context) ([]backends.Orphan, error) {
	used, err := d.inUse(ctx)
	if err != nil {
		return nil, err
	}
	sidecars, err := d.opts.Sidecars.Orphans(ctx)
	if err != nil {
		return nil, err
	}
	entries := func(kind, pattern, why string, serves func(name string) bool) (out []backends.Orphan) {
		found, globErr := filepath.Glob(pattern)
		err = errors.Join(err, globErr)
		for _, path := range found {
			if !serves(filepath.Base(path)) {
				out = append(out, orphan(kind, path, why))
			}
		}
		return out
	}
	after := func(prefix string, of map[string]bool) func(string) bool {
		return func(name string) bool { return of[strings.TrimPrefix(name, prefix)] }
	}
	out := slices.Concat(
		sidecars,
		entries("directory", d.path(binPrefix+"*"), "a bb that no machine has", after(binPrefix, used.binaries)),
		entries("file", d.path(".bb-*"), cutOff, func(string) bool { return false }), // Prepare has the caller's lock
		entries("image", d.archive("*"), "exported for smolvm, and no machine is made of it", func(name string) bool {
			return used.all || used.archives[strings.TrimSuffix(name, archiveSuffix)]
		}),
		entries("file", d.archive("*")+lockSuffix, cutOff, func(name string) bool {
			archive := d.path("images", strings.TrimSuffix(name, lockSuffix))
			_, err := os.Lstat(archive)
			return err == nil || locked(archive+lockSuffix) // it goes with its archive
		}),
		entries("file", d.path("images", exportPrefix+"*"), cutOff, func(name string) bool {
			key, _, _ := strings.Cut(strings.TrimPrefix(name, exportPrefix), ".")
			return locked(d.archive(key) + lockSuffix)
		}),
		entries("directory", d.path("agents", "*"), "of a machine that is gone", after("", used.names)),
	)
	if dir := d.opts.Programs; dir != "" {
		out = append(out, slices.Concat(
			entries("file", filepath.Join(dir, "bb-*"), "a bb that no sidecar runs", after("", used.programs)),
			entries("file", filepath.Join(dir, ".bb-*"), cutOff, func(name string) bool {
				info, err := os.Lstat(filepath.Join(dir, name))
				return err != nil || time.Since(info.ModTime()) < staleCopy
			}),
		)...)
	}
	return out, err
}

func orphan(kind, path, why string) backends.Orphan {
	o := backends.Orphan{Kind: kind, Name: filepath.Base(path), Ref: path, Why: why}
	sized := path
	if strings.HasPrefix(o.Name, binPrefix) {
		sized = filepath.Join(path, "bb")
	}
	if info, err := os.Stat(sized); err == nil && info.Mode().IsRegular() {
		o.Size = info.Size()
	}
	return o
}

// RemoveOrphan looks again, and removes what is still an orphan.
func (d *Driver) RemoveOrphan(ctx context.Context, o backends.Orphan) error {
	if _, err := os.Lstat(o.Ref); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	left, err := d.Orphans(ctx)
	if err != nil {
		return err
	}
	busy := diag.Errorf("%s %s is in use, or not what it was", o.Kind, o.Name).WithHint("'bb cleanup' lists what is left")
	if !slices.ContainsFunc(left, func(x backends.Orphan) bool { return x.Kind == o.Kind && x.Ref == o.Ref }) {
		return busy
	}
	if o.Kind == "sidecar" {
		return d.opts.Sidecars.RemoveOrphan(ctx, o)
	}
	if filepath.Dir(o.Ref) != d.path("images") {
		return os.RemoveAll(o.Ref)
	}
	key, _, _ := strings.Cut(strings.TrimPrefix(o.Name, exportPrefix), ".")
	unlock, err := tryLock(d.archive(key) + lockSuffix)
	if err != nil {
		return busy
	}
	defer unlock()
	// The lock goes while it is held: who waited for it looks for another.
	return errors.Join(os.RemoveAll(o.Ref), os.RemoveAll(d.archive(key)+lockSuffix))
}
