package docker

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/spec"
)

// scene is what else the engine listed: what a container is judged against.
// Whatever is not known is nil or absent, and nothing is judged by it: other
// engines leave fields out, and a healthy bottle is never called altered.
type scene struct {
	networks map[string]string // id -> name
	volumes  map[string]bool   // names of all volumes, whoever made them
	images   map[string]tagged // tag -> what it names now
	// builds are images that containers were made of and that their tag does
	// not name any more: id -> the tag that bb built it for, "" for none.
	builds map[string]string
}

// tagged is what a tag names now.
type tagged struct {
	id   string
	ours bool // bb built it for this tag
}

// First words of the two first processes.
var (
	agentCommand   = spec.BinaryPath + " door init"
	sidecarCommand = sidecarBinary + " sidecar run"
)

// agent says how an agent differs from what its labels say bb made, in short
// phrases for people.
func (s scene) agent(id spec.ID, x container.Summary) []string {
	facts := s.agentNetworks(x)
	facts = append(facts, agentMounts(id, x)...)
	// The sidecar would make another authority, which the agent does not trust.
	facts = append(facts, s.lost(x, id.DoorVolume(), id.CAVolume())...)
	return append(facts, s.process(x, agentCommand)...)
}

// sidecar says the same of a sidecar.
func (s scene) sidecar(id spec.ID, x container.Summary) []string {
	facts := s.sidecarNetworks(x)
	facts = append(facts, sidecarMounts(id, x)...)
	facts = append(facts, s.lost(x, id.DoorVolume(), id.CAVolume())...)
	facts = append(facts, s.process(x, sidecarCommand)...)
	if x.State == container.StatePaused { // an agent that is paused is started again
		facts = append(facts, "it is paused")
	}
	return facts
}

// process judges what a container runs.
func (s scene) process(x container.Summary, command string) []string {
	var facts []string
	if is := strings.Join(strings.Fields(x.Command), " "); is != "" && is != command && !strings.HasPrefix(is, command+" ") {
		facts = append(facts, fmt.Sprintf("its first process is %q, not bb's", shorten(is)))
	}
	return append(facts, s.image(x)...)
}

// shorten makes what others wrote fit on one line.
func shorten(text string) string {
	const most = 60
	text = strings.Join(strings.Fields(guest.Printable(text)), " ")
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "..."
	}
	return text
}

var (
	takenImage = regexp.MustCompile(`@([0-9a-f]{12})$`)
	builtImage = regexp.MustCompile(`^bb-[^@]+:[0-9a-f]{12}$`)
	imageIDs   = regexp.MustCompile(`^(sha256:)?[0-9a-f]{12,64}$`)
)

// image compares the image that a container was made of with its label. The
// engine lists it by name as long as the name means the same image, and by id
// when it does not any more.
func (s scene) image(x container.Summary) []string {
	label, id := x.Labels[spec.LabelImage], strings.TrimPrefix(x.ImageID, "sha256:")
	name := strings.TrimPrefix(strings.TrimPrefix(x.Image, "localhost/"), "docker.io/library/")
	if m := takenImage.FindStringSubmatch(label); m != nil {
		if id == "" || strings.HasPrefix(id, m[1]) || strings.HasPrefix(strings.TrimPrefix(name, "sha256:"), m[1]) {
			return nil
		}
		return []string{"it was made of another image than " + guest.Printable(label)}
	}
	if !builtImage.MatchString(label) || name == "" || name == label {
		return nil
	}
	now, known := s.images[label]
	switch {
	case known && strings.TrimPrefix(now.id, "sha256:") == id:
		return nil
	case !imageIDs.MatchString(name):
		return []string{fmt.Sprintf("it was made of image %s, not of %s", shorten(name), guest.Printable(label))}
	case known && !now.ours:
		return []string{guest.Printable(label) + " names another image now"}
	}
	// The tag is gone, which is nobody's harm, or bb has built it again.
	if of, seen := s.builds[x.ImageID]; seen && of != label {
		return []string{"it was made of another image than " + guest.Printable(label)}
	}
	return nil
}

// unnamed reports whether a container's image has to be looked at: it is not
// what its tag names now.
func (s scene) unnamed(x container.Summary) bool {
	now, known := s.images[x.Labels[spec.LabelImage]]
	return x.ImageID != "" && imageIDs.MatchString(x.Image) && known && now.ours && now.id != x.ImageID
}

// lost names the volumes of an instance that are gone while it needs them. An
// engine that lists no volume at all has not been understood.
func (s scene) lost(x container.Summary, names ...string) []string {
	if len(s.volumes) == 0 || len(x.Mounts) == 0 {
		return nil
	}
	var facts []string
	for _, name := range names {
		if !s.volumes[name] {
			facts = append(facts, "its volume "+name+" is gone")
		}
	}
	return facts
}

// agentNetworks: every network is a way around the gate, whatever the network
// mode still says.
func (s scene) agentNetworks(x container.Summary) []string {
	var facts []string
	for _, n := range s.attached(x) {
		if n.name != "none" {
			facts = append(facts, "it is on network "+n.name)
		}
	}
	if mode := x.HostConfig.NetworkMode; len(facts) == 0 && mode != "" && mode != "none" {
		facts = append(facts, "its network mode is "+shorten(mode)+", not none")
	}
	return facts
}

// sidecarNetworks: it sits on the network that it was made on, and no other.
func (s scene) sidecarNetworks(x container.Summary) []string {
	want := x.Labels[spec.LabelNetwork]
	if want == "" {
		want = SharedNetwork
	}
	var facts []string
	on, gone := false, false
	for _, n := range s.attached(x) {
		switch {
		case n.name != want:
			facts = append(facts, "it is on network "+n.name)
		case n.gone:
			gone = true
		default:
			on = true
		}
	}
	mode := x.HostConfig.NetworkMode
	if s.networks == nil {
		return facts
	}
	// The engine starts it again on the network of its mode, by id.
	if networkIDs.MatchString(mode) && s.networks[mode] == "" {
		gone = true
	}
	switch {
	case gone && slices.Contains(slices.Collect(maps.Values(s.networks)), want):
		facts = append(facts, "its network "+want+" was removed and made again")
	case gone:
		facts = append(facts, "its network "+want+" is gone")
	case !on && x.State != container.StateCreated && x.NetworkSettings != nil && x.NetworkSettings.Networks != nil:
		facts = append(facts, "it is not on network "+want)
	}
	return facts
}

var networkIDs = regexp.MustCompile(`^[0-9a-f]{64}$`)

type attachment struct {
	name string
	gone bool // the network of that id does not exist any more
}

// attached lists the networks of a container by name. The key that the engine
// lists an attachment under is the name as it was then, or an id.
func (s scene) attached(x container.Summary) []attachment {
	if x.NetworkSettings == nil {
		return nil
	}
	var out []attachment
	for _, key := range slices.Sorted(maps.Keys(x.NetworkSettings.Networks)) {
		a := attachment{name: key}
		id := key
		if e := x.NetworkSettings.Networks[key]; e != nil && e.NetworkID != "" {
			id = e.NetworkID
		}
		if name := s.networks[id]; name != "" {
			a.name = name
		} else {
			a.gone = s.networks != nil && id != key
		}
		a.name = shorten(a.name)
		out = append(out, a)
	}
	return out
}
