package docker

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/spec"
)

// Where an agent has what is bb's.
const (
	agentBinDir  = "/bb/bin"
	agentDoorDir = "/bb/door"
)

var (
	binVolumes = regexp.MustCompile(`^bb-bin-[0-9a-f]{12}$`)
	// nameless are volumes that an image asks for.
	nameless = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// agentMounts lists what is mounted in an agent and not by bb, and what is
// missing. A list without any mount says nothing: an agent has two at least.
func agentMounts(id spec.ID, x container.Summary) []string {
	if len(x.Mounts) == 0 {
		return nil
	}
	var facts []string
	for _, m := range x.Mounts {
		switch {
		case harmless(m), isWorkspace(m, x.Labels[spec.LabelSpecJSON]):
		case kind(m) == mount.TypeVolume && m.Destination == agentBinDir && binVolumes.MatchString(m.Name),
			kind(m) == mount.TypeVolume && m.Destination == agentDoorDir && m.Name == id.DoorVolume():
			if m.RW {
				facts = append(facts, m.Destination+" is mounted writable")
			}
		default:
			facts = append(facts, mounted(m))
		}
	}
	for _, dir := range []string{agentBinDir, agentDoorDir} {
		if !slices.ContainsFunc(x.Mounts, func(m container.MountPoint) bool { return m.Destination == dir }) {
			facts = append(facts, dir+" is not mounted")
		}
	}
	return facts
}

// sidecarMounts goes by names: where another version of bb mounts them is its
// own matter.
func sidecarMounts(id spec.ID, x container.Summary) []string {
	if len(x.Mounts) == 0 {
		return nil
	}
	var facts []string
	own := map[string]bool{id.DoorVolume(): false, id.CAVolume(): false}
	for _, m := range x.Mounts {
		_, ours := own[m.Name]
		switch {
		case ours && kind(m) == mount.TypeVolume:
			own[m.Name] = true
		case harmless(m):
		default:
			facts = append(facts, mounted(m))
		}
	}
	for _, name := range []string{id.DoorVolume(), id.CAVolume()} {
		if !own[name] {
			facts = append(facts, "volume "+name+" is not mounted")
		}
	}
	return facts
}

// harmless are memory, and the empty volumes that an image declares.
func harmless(m container.MountPoint) bool {
	if m.Destination == "/bb" || strings.HasPrefix(m.Destination, "/bb/") {
		return false
	}
	return kind(m) == mount.TypeTmpfs || kind(m) == mount.TypeVolume && nameless.MatchString(m.Name)
}

// kind is a mount's type, also where the engine does not say it.
func kind(m container.MountPoint) mount.Type {
	switch {
	case m.Type != "":
		return m.Type
	case m.Name != "":
		return mount.TypeVolume
	}
	return mount.TypeBind
}

// isWorkspace reports whether m is the directory that the manifest asks for:
// the label keeps it.
func isWorkspace(m container.MountPoint, specJSON string) bool {
	if kind(m) != mount.TypeBind {
		return false
	}
	var f spec.Fixed
	if json.Unmarshal([]byte(specJSON), &f) != nil || f.Workspace.Mode != spec.WorkspaceMount || f.Workspace.Path == "" {
		return false
	}
	inside := f.Workspace.GuestPath
	if inside == "" {
		inside = spec.Workdir
	}
	if m.Destination != inside {
		return false
	}
	// An engine in a machine of its own sees the host's files below a directory.
	return slices.ContainsFunc([]string{"", "/host_mnt", "/run/desktop/mnt/host"}, func(prefix string) bool {
		return m.Source == prefix+path.Clean(f.Workspace.Path)
	})
}

func mounted(m container.MountPoint) string {
	switch kind(m) {
	case mount.TypeVolume:
		return fmt.Sprintf("volume %s is mounted at %s", shorten(m.Name), shorten(m.Destination))
	case mount.TypeBind:
		return fmt.Sprintf("%s of the host is mounted at %s", shorten(m.Source), shorten(m.Destination))
	}
	return fmt.Sprintf("a %s is mounted at %s", guest.Printable(string(kind(m))), shorten(m.Destination))
}
