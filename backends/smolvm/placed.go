package smolvm

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/spec"
)

// placedIn reads what an earlier placing left in a machine; nil where nothing
// ever was placed. A record that cannot be one lists nothing: nothing is
// removed because of it.
func (d *Driver) placedIn(ctx context.Context, id spec.ID) (map[string]guest.Placed, error) {
	text, err := d.readFile(ctx, id, guest.RecordPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return guest.ReadRecord(text), nil
}

// takeAway removes also what the agent made hard to remove.
const takeAway = `chmod -R u+rwX -- "$@" 2>/dev/null; rm -rf -- "$@"`

// provisionFiles places the files of live parts again. What these parts placed
// before goes first: a skill that is not declared any more, and files that a
// skill does not have any more, are no longer the agent's to use.
func (d *Driver) provisionFiles(ctx context.Context, s *spec.Spec, parts []string) error {
	parts = slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return !slices.Contains(guest.FileParts, p) })
	if len(parts) == 0 {
		return nil
	}
	have, err := d.placedIn(ctx, s.ID)
	if err != nil {
		return err
	}
	want := guest.Placing(s)
	parts = slices.DeleteFunc(parts, func(p string) bool { return have[p].Digest == want[p].Digest })
	if len(parts) == 0 {
		return nil // as they were placed
	}
	all := maps.Clone(have)
	var stale []string
	for _, part := range parts {
		stale = append(stale, have[part].Paths...)
		delete(all, part)
		if p, ok := want[part]; ok {
			all[part] = p
		}
	}
	overwritten := func(name string) bool {
		return slices.ContainsFunc(s.Files, func(f spec.File) bool { return f.Path == name && !f.Dir })
	}
	if stale = slices.DeleteFunc(stale, overwritten); len(stale) > 0 {
		c := command{argv: append([]string{"/bin/sh", "-c", takeAway, "sh"}, stale...)}
		if err := d.inAgent(ctx, s, "take away what is no longer declared", c, 0); err != nil {
			return err
		}
	}
	var files []spec.File
	for _, f := range s.Files {
		if slices.Contains(parts, f.Part) {
			files = append(files, f)
		}
	}
	if err := d.placeInside(ctx, s, files); err != nil {
		return err
	}
	return d.keepRecord(ctx, s, all)
}

// makeWay removes what is no directory where one is needed.
const makeWay = `for d; do [ -d "$d" ] && [ ! -L "$d" ] || rm -f -- "$d"; done`

// placeInside places files below the home of a started agent, as the agent:
// bb's own binary in the bottle does it. smolvm's copy would act as root on
// paths that the agent owns: it follows what the agent puts in their place.
func (d *Driver) placeInside(ctx context.Context, s *spec.Spec, files []spec.File) error {
	if len(files) == 0 {
		return nil
	}
	a := guest.HomeArchive(s)
	if err := a.Add(files...); err != nil {
		return err
	}
	packed, err := a.Finish()
	if err != nil {
		return err
	}
	place := func() error {
		c := command{argv: []string{spec.BinaryPath, "door", "unpack", "--any", spec.Home}, stdin: bytes.NewReader(packed.Bytes())}
		return d.inAgent(ctx, s, "place files", c, 0)
	}
	if place() == nil {
		return nil
	}
	c := command{argv: append([]string{"/bin/sh", "-c", makeWay, "sh"}, a.Directories()...)}
	if err := d.inAgent(ctx, s, "make way for files", c, 0); err != nil {
		return err
	}
	return place()
}

// keepRecord writes what is placed now. Its directory is root's.
func (d *Driver) keepRecord(ctx context.Context, s *spec.Spec, all map[string]guest.Placed) error {
	a := guest.NewArchive()
	if err := a.Add(guest.Record(all)...); err != nil {
		return err
	}
	return d.placeAsRoot(ctx, s.ID, a)
}
