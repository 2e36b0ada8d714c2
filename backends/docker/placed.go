package docker

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/bot-bottle/bb/engine/spec"
)

// placedPath is where a bottle keeps what bb placed for its live parts. It is
// root's, so that the agent cannot name files for bb to remove.
const placedPath = "/var/lib/bb/placed.json"

// placed is what a live part put into a bottle: what has to go when the part
// changes. What the agent made beside it stays.
type placed struct {
	// Paths are the files and the topmost directories.
	Paths  []string `json:"paths"`
	Digest string   `json:"digest"`
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
	return out
}

// placedIn reads what an earlier placing left in a container. A record that
// cannot be one is none: nothing is removed because of it.
func (d *Driver) placedIn(ctx context.Context, agent string) (map[string]placed, error) {
	text, err := d.readFile(ctx, agent, placedPath)
	if errdefs.IsNotFound(err) || errors.Is(err, os.ErrInvalid) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all map[string]placed
	if json.Unmarshal(text, &all) != nil {
		return nil, nil
	}
	for _, p := range all {
		for _, name := range p.Paths {
			if path.Clean(name) != name || !strings.HasPrefix(name, spec.Home+"/") {
				return nil, nil
			}
		}
	}
	return all, nil
}

// record is the file that says so, with its directory: one that the engine
// makes by itself may be anybody's to write to.
func record(all map[string]placed) []spec.File {
	b, err := json.Marshal(all)
	if err != nil {
		panic("docker: " + err.Error()) // only plain data reaches this
	}
	return []spec.File{
		{Path: path.Dir(placedPath), Dir: true, Mode: 0o755, Root: true},
		{Path: placedPath, Mode: 0o644, Content: b, Root: true},
	}
}

// takeAway removes also what the agent made hard to remove.
const takeAway = `chmod -R u+rwX -- "$@" 2>/dev/null; rm -rf -- "$@"`

// provisionFiles places the files of live parts again. What these parts placed
// before goes first: a skill that is not declared any more, and files that a
// skill does not have any more, are no longer the agent's to use.
func (d *Driver) provisionFiles(ctx context.Context, s *spec.Spec, agent string, parts []string) error {
	parts = slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return !slices.Contains(fileParts, p) })
	if len(parts) == 0 {
		return nil
	}
	have, err := d.placedIn(ctx, agent)
	if err != nil {
		return d.wrap(err, "read %s of %s", placedPath, s.ID.Name())
	}
	want := placing(s)
	a, all := newArchive(), maps.Clone(have)
	if all == nil {
		all = map[string]placed{}
	}
	var stale []string
	for _, part := range parts {
		if have[part].Digest != want[part].Digest {
			stale = append(stale, have[part].Paths...)
		}
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
		if err := d.inAgent(ctx, s, agent, "take away what is no longer declared", c, 0); err != nil {
			return err
		}
	}
	files := record(all)
	for _, f := range s.Files {
		switch {
		case slices.Contains(parts, f.Part):
			files = append(files, f)
		case f.Part == "" && f.Dir:
			a.modes[f.Path] = f.Mode
		}
	}
	for _, f := range files {
		if err := a.add(f); err != nil {
			return err
		}
	}
	return d.upload(ctx, agent, s.ID.Name(), a)
}

// outdated lists the parts that an agent which ran before was given otherwise.
// Their old files can only be removed when it runs again; until then the
// record keeps them.
func (d *Driver) outdated(ctx context.Context, s *spec.Spec, agent string) (parts []string, all map[string]placed, err error) {
	all = placing(s)
	have, err := d.placedIn(ctx, agent)
	if err != nil {
		return nil, nil, d.wrap(err, "read %s of %s", placedPath, s.ID.Name())
	}
	for part, p := range have {
		if slices.Contains(fileParts, part) && p.Digest != all[part].Digest {
			parts = append(parts, part)
			all[part] = p
		}
	}
	slices.Sort(parts)
	return parts, all, nil
}
