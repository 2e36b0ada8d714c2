package guest

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/engine/spec"
)

// RecordPath is where a bottle keeps what bb placed for its live parts. It is
// root's, so that the agent cannot name files for bb to remove.
const RecordPath = "/var/lib/bb/placed.json"

// Placed is what a live part put into a bottle: what has to go when the part
// changes. What the agent made beside it stays.
type Placed struct {
	// Paths are the files and the topmost directories.
	Paths  []string `json:"paths,omitempty"`
	Digest string   `json:"digest,omitempty"`
	// Keys are those of git's configuration.
	Keys []string `json:"keys,omitempty"`
}

// FileParts are the live parts that are made of files.
var FileParts = []string{spec.PartPrompt, spec.PartSkills, spec.PartLogin}

// Placing lists what a spec places, by part.
func Placing(s *spec.Spec) map[string]Placed {
	out := map[string]Placed{}
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
	for _, part := range GitParts {
		if keys := keysOf(settings(s, part)); len(keys) > 0 {
			out[part] = Placed{Keys: keys}
		}
	}
	return out
}

// ReadRecord reads what an earlier placing left. A record that cannot be one lists
// nothing: nothing is removed because of it.
func ReadRecord(text []byte) map[string]Placed {
	var all map[string]Placed
	if json.Unmarshal(text, &all) != nil || all == nil {
		return map[string]Placed{}
	}
	for _, p := range all {
		for _, name := range p.Paths {
			if path.Clean(name) != name || !strings.HasPrefix(name, spec.Home+"/") {
				return map[string]Placed{}
			}
		}
	}
	return all
}

// RecordDir is the directory of what only root says in a bottle.
var RecordDir = spec.File{Path: path.Dir(RecordPath), Dir: true, Mode: 0o755, Root: true}

// Record is the file that says so, with its directory: one that an engine
// makes by itself may be anybody's to write to.
func Record(all map[string]Placed) []spec.File {
	b, err := json.Marshal(all)
	if err != nil {
		panic("guest: " + err.Error()) // only plain data reaches this
	}
	return []spec.File{
		RecordDir,
		{Path: RecordPath, Mode: 0o644, Content: b, Root: true},
	}
}

// GitParts are the live parts that are keys of git's configuration.
var GitParts = []string{spec.PartIdentity, spec.PartGit}

// settings are those of a spec that belong to a part.
func settings(s *spec.Spec, part string) []spec.GitSetting {
	return slices.DeleteFunc(spec.GitConfig(s), func(x spec.GitSetting) bool { return x.Part != part })
}

// keysOf are their keys.
func keysOf(settings []spec.GitSetting) (keys []string) {
	for _, x := range settings {
		keys = append(keys, x.Key)
	}
	return keys
}
