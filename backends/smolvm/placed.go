package smolvm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/spec"
)

// placedPath is where a bottle keeps what bb placed for its live parts. It is
// root's, so that the agent cannot name files for bb to remove.
const placedPath = "/var/lib/bb/placed.json"

// placed is what a live part put into a bottle: what has to go when the part
// changes. What the agent made beside it stays.
type placed struct {
	// Paths are the files and the topmost directories.
	Paths  []string `json:"paths,omitempty"`
	Digest string   `json:"digest,omitempty"`
	// Keys are those of git's configuration.
	Keys []string `json:"keys,omitempty"`
}

// fileParts are the live parts that are made of files.
var fileParts = []string{spec.PartPrompt, spec.PartSkills, spec.PartLogin}

// placing lists what a spec places, by part.
func placing(s *spec.Spec) map[string]placed {
	out := map[string]placed{}
	for _, f := range s.Files {
		if f.Part == "" {
			continue
		}
		p := out[f.Part]
		inside := func(dir string) bool { return strings.HasPrefix(f.Path, dir+"/") }
		if !slices.ContainsFunc(p.Paths, inside) {
			p.Paths = append(p.Paths, f.Path)
		}
		p.Digest = spec.FilesDigest(s.Files, f.Part)
		out[f.Part] = p
	}
	for _, part := range gitParts {
		if keys := keysOf(settings(s, part)); len(keys) > 0 {
			out[part] = placed{Keys: keys}
		}
	}
	return out
}

// placedIn reads what an earlier placing left in a machine; nil where nothing
// ever was placed. A record that cannot be one lists nothing: nothing is
// removed because of it.
func (d *Driver) placedIn(ctx context.Context, id spec.ID) (map[string]placed, error) {
	text, err := d.readFile(ctx, id, placedPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	none := map[string]placed{}
	var all map[string]placed
	if json.Unmarshal(text, &all) != nil || all == nil {
		return none, nil
	}
	for _, p := range all {
		for _, name := range p.Paths {
			if path.Clean(name) != name || !strings.HasPrefix(name, spec.Home+"/") {
				return none, nil
			}
		}
	}
	return all, nil
}

// recordDir is the directory of what only root says in a machine.
var recordDir = spec.File{Path: path.Dir(placedPath), Dir: true, Mode: 0o755, Root: true}

// record is the file that says so, with its directory.
func record(all map[string]placed) []spec.File {
	b, err := json.Marshal(all)
	if err != nil {
		panic("smolvm: " + err.Error()) // only plain data reaches this
	}
	return []spec.File{
		recordDir,
		{Path: placedPath, Mode: 0o644, Content: b, Root: true},
	}
}

// takeAway removes also what the agent made hard to remove.
const takeAway = `chmod -R u+rwX -- "$@" 2>/dev/null; rm -rf -- "$@"`

// provisionFiles places the files of live parts again. What these parts placed
// before goes first: a skill that is not declared any more, and files that a
// skill does not have any more, are no longer the agent's to use.
func (d *Driver) provisionFiles(ctx context.Context, s *spec.Spec, parts []string) error {
	parts = slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return !slices.Contains(fileParts, p) })
	if len(parts) == 0 {
		return nil
	}
	have, err := d.placedIn(ctx, s.ID)
	if err != nil {
		return err
	}
	want := placing(s)
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
	a := newArchive()
	a.below = spec.Home
	for _, f := range s.Files {
		if f.Dir && f.Part == "" {
			a.modes[f.Path] = f.Mode
		}
	}
	if err := a.add(files...); err != nil {
		return err
	}
	if err := a.tar.Close(); err != nil {
		return err
	}
	place := func() error {
		c := command{argv: []string{spec.BinaryPath, "door", "unpack", "--any", spec.Home}, stdin: bytes.NewReader(a.buf.Bytes())}
		return d.inAgent(ctx, s, "place files", c, 0)
	}
	if place() == nil {
		return nil
	}
	dirs := slices.DeleteFunc(slices.Sorted(maps.Keys(a.dirs)), func(dir string) bool { return dir == spec.Home })
	c := command{argv: append([]string{"/bin/sh", "-c", makeWay, "sh"}, dirs...)}
	if err := d.inAgent(ctx, s, "make way for files", c, 0); err != nil {
		return err
	}
	return place()
}

// keepRecord writes what is placed now. Its directory is root's.
func (d *Driver) keepRecord(ctx context.Context, s *spec.Spec, all map[string]placed) error {
	a := newArchive()
	if err := a.add(record(all)...); err != nil {
		return err
	}
	return d.placeAsRoot(ctx, s.ID, a)
}
