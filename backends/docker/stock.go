package docker

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// stock is all that an engine holds, as it lists it, and what of it bb would
// use next.
type stock struct {
	owner      string
	now        time.Time
	sidecar    string // the current image of sidecars; "" means unknown
	volume     string // the current binary's volume; "" means unknown
	containers []container.Summary
	volumes    []*volume.Volume
	networks   []network.Summary
	images     []image.Summary
}

const (
	fullSuffix = "_full"
	fillSuffix = "_fill"
	// lastStep of a build is the last of its labels: the builder sorts them.
	lastStep = "LABEL " + spec.LabelVersion + "="
)

var (
	fillerNames = regexp.MustCompile(`^bb-bin-[0-9a-f]{12}` + fillSuffix + `$`)
	markerNames = regexp.MustCompile(`^bb-bin-[0-9a-f]{12}` + fullSuffix + `$`)
)

// ours reports whether labels are those of a shared resource of this owner.
// Every caller also looks at the name.
func (s stock) ours(labels map[string]string, role string) bool {
	return s.owner != "" && labels[spec.LabelOwner] == s.owner && isShared(labels, role)
}

// orphans are all but dangling images, in the order to remove them in: a
// filler mounts a volume.
func (s stock) orphans() []backends.Orphan {
	var out []backends.Orphan
	for _, part := range [][]backends.Orphan{s.fillers(), s.relays(), s.freezers(), s.binaries(), s.tagged(), s.unattached()} {
		slices.SortFunc(part, func(a, b backends.Orphan) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Ref, b.Ref)) })
		out = append(out, part...)
	}
	return out
}

// isFiller reports whether x is a claim of ours that nobody works under.
func (s stock) isFiller(x container.Summary) bool {
	if len(x.Names) != 1 {
		return false
	}
	name := trimName(x.Names[0])
	fills := fillerNames.MatchString(name) && s.ours(x.Labels, spec.RoleBinary)
	makes := name == networkMaker && s.ours(x.Labels, spec.RoleNetwork)
	return (fills || makes) &&
		(x.State == container.StateCreated || x.State == container.StateExited) &&
		s.now.Sub(time.Unix(x.Created, 0)) > staleClaim
}

func (s stock) fillers() []backends.Orphan {
	var out []backends.Orphan
	for _, x := range s.containers {
		if s.isFiller(x) {
			out = append(out, backends.Orphan{
				Kind: kindContainer, Name: trimName(x.Names[0]), Ref: x.ID,
				Why: "left behind by an apply that was cut off",
			})
		}
	}
	return out
}

// relays are those whose build is long gone, and that the engine did not remove:
// it was killed, or they never began.
func (s stock) relays() []backends.Orphan {
	var out []backends.Orphan
	for _, x := range s.containers {
		if len(x.Names) == 1 && relayNames.MatchString(trimName(x.Names[0])) && s.ours(x.Labels, spec.RoleRelay) &&
			x.State != container.StateRunning && s.now.Sub(time.Unix(x.Created, 0)) > staleClaim {
			out = append(out, backends.Orphan{
				Kind: kindContainer, Name: trimName(x.Names[0]), Ref: x.ID, Why: "left behind by a build that was cut off",
			})
		}
	}
	return out
}

// freezers are those whose bb was killed: they may run, and nobody is in them.
func (s stock) freezers() []backends.Orphan {
	var out []backends.Orphan
	for _, x := range s.containers {
		if len(x.Names) == 1 && freezerNames.MatchString(trimName(x.Names[0])) && s.ours(x.Labels, spec.RoleFreezer) &&
			s.now.Sub(time.Unix(x.Created, 0)) > staleFreezer {
			out = append(out, backends.Orphan{
				Kind: kindContainer, Name: trimName(x.Names[0]), Ref: x.ID, Why: "left behind by a commit that was cut off",
			})
		}
	}
	return out
}

// binaries are old ones; each goes with its marker, which therefore has to be
// ours too. The engine gives volumes no id.
func (s stock) binaries() []backends.Orphan {
	var out []backends.Orphan
	for _, v := range s.volumes {
		if !s.ours(v.Labels, spec.RoleBinary) || s.mounted(v.Name) {
			continue
		}
		why := ""
		switch {
		case binVolumes.MatchString(v.Name) && v.Name != s.volume:
			marker := s.volumeOf(v.Name + fullSuffix)
			if marker != nil && (!s.ours(marker.Labels, spec.RoleBinary) || s.mounted(marker.Name)) {
				continue
			}
			why = "holds another bb, and no bottle uses it"
		case markerNames.MatchString(v.Name) && s.volumeOf(strings.TrimSuffix(v.Name, fullSuffix)) == nil:
			why = "marks a volume that is gone"
		default:
			continue
		}
		out = append(out, backends.Orphan{Kind: kindVolume, Name: v.Name, Ref: v.Name, Why: why})
	}
	return out
}

func (s stock) volumeOf(name string) *volume.Volume {
	for _, v := range s.volumes {
		if v.Name == name {
			return v
		}
	}
	return nil
}

func (s stock) mounted(name string) bool {
	return slices.ContainsFunc(s.containers, func(x container.Summary) bool {
		return !s.isFiller(x) && slices.ContainsFunc(x.Mounts, func(m container.MountPoint) bool { return m.Name == name })
	})
}

// tagged are images under a tag of ours that no container was made of. One
// that has a second name is somebody's.
func (s stock) tagged() []backends.Orphan {
	var out []backends.Orphan
	for _, i := range s.images {
		if !s.ours(i.Labels, spec.RoleImage) || len(i.RepoTags) != 1 || s.runs(i) {
			continue
		}
		tag := i.RepoTags[0]
		if tag != i.Labels[spec.LabelImage] || !builtImage.MatchString(tag) || tag == s.sidecar {
			continue
		}
		why := "no bottle uses it"
		if strings.HasPrefix(tag, sidecarRepository+":") {
			why = "no sidecar uses it"
		}
		out = append(out, imageOrphan(tag, i, why))
	}
	return out
}

func imageOrphan(name string, i image.Summary, why string) backends.Orphan {
	return backends.Orphan{Kind: kindImage, Name: name, Ref: i.ID, Why: why, Size: max(0, i.Size)}
}

// dangling are the candidates: see danglingImages.
func (s stock) dangling() []image.Summary {
	return slices.DeleteFunc(slices.Clone(s.images), func(i image.Summary) bool {
		named := slices.ContainsFunc(i.RepoTags, func(t string) bool { return t != "<none>:<none>" }) ||
			slices.ContainsFunc(i.RepoDigests, func(t string) bool { return t != "<none>@<none>" })
		return named || !s.ours(i.Labels, spec.RoleImage) || !builtImage.MatchString(i.Labels[spec.LabelImage]) || s.runs(i)
	})
}

// runs reports whether a container, running or not, was made of the image.
func (s stock) runs(i image.Summary) bool {
	id := strings.TrimPrefix(i.ID, "sha256:")
	return slices.ContainsFunc(s.containers, func(x container.Summary) bool {
		return strings.TrimPrefix(x.ImageID, "sha256:") == id || slices.Contains(i.RepoTags, x.Image)
	})
}

// unattached are the shared networks that no container, running or not, is on.
func (s stock) unattached() []backends.Orphan {
	var out []backends.Orphan
	for _, n := range s.networks {
		if n.Name != SharedNetwork || !s.ours(n.Labels, spec.RoleNetwork) || len(n.Containers) > 0 || s.attached(n) {
			continue
		}
		out = append(out, backends.Orphan{Kind: kindNetwork, Name: n.Name, Ref: n.ID, Why: "no sidecar is on it"})
	}
	return out
}

func (s stock) attached(n network.Summary) bool {
	return slices.ContainsFunc(s.containers, func(x container.Summary) bool {
		if x.HostConfig.NetworkMode == n.ID || x.HostConfig.NetworkMode == n.Name {
			return true
		}
		if x.NetworkSettings == nil {
			return false
		}
		for key, e := range x.NetworkSettings.Networks {
			if key == n.ID || e != nil && e.NetworkID == n.ID || key == n.Name && (e == nil || e.NetworkID == "") {
				return true
			}
		}
		return false
	})
}

// has reports whether an orphan is there at all, ours or not.
func (s stock) has(o backends.Orphan) bool {
	switch o.Kind {
	case kindContainer:
		return slices.ContainsFunc(s.containers, func(x container.Summary) bool { return x.ID == o.Ref })
	case kindVolume:
		return s.volumeOf(o.Name) != nil
	case kindNetwork:
		return slices.ContainsFunc(s.networks, func(n network.Summary) bool { return n.ID == o.Ref })
	}
	return slices.ContainsFunc(s.images, func(i image.Summary) bool {
		return i.ID == o.Ref && (o.Name == shortID(o.Ref) || slices.Contains(i.RepoTags, o.Name))
	})
}
