package docker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/engine/spec"
)

const (
	egressID = "0a80c49843bb00000000000000000000000000000000000000000000000000aa"
	corpID   = "0c80c49843bb00000000000000000000000000000000000000000000000000cc"
	noneID   = "060ebdafec8600000000000000000000000000000000000000000000000000ee"
	goneID   = "0d80c49843bb00000000000000000000000000000000000000000000000000dd"
	imageA   = "sha256:aaaaaaaaaaaa0000000000000000000000000000000000000000000000000000"
	imageB   = "sha256:bbbbbbbbbbbb0000000000000000000000000000000000000000000000000000"
	agentTag = "bb-dev:0123456789ab"
	gateTag  = "bb-sidecar:0123456789ab"
)

var driftID = spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"}

func driftScene() scene {
	return scene{
		networks: map[string]string{egressID: "bb-egress", corpID: "corp", noneID: "none"},
		volumes:  map[string]bool{driftID.DoorVolume(): true, driftID.CAVolume(): true},
		images:   map[string]tagged{agentTag: {imageA, true}, gateTag: {imageA, true}},
	}
}

func on(pairs ...string) *container.NetworkSettingsSummary {
	s := &container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{}}
	for i := 0; i < len(pairs); i += 2 {
		s.Networks[pairs[i]] = &network.EndpointSettings{NetworkID: pairs[i+1]}
	}
	return s
}

func mountOf(t mount.Type, name, source, target string, rw bool) container.MountPoint {
	return container.MountPoint{Type: t, Name: name, Source: source, Destination: target, RW: rw}
}

// healthyAgent is what engine 20.10 lists.
func healthyAgent() container.Summary {
	x := container.Summary{
		Image: agentTag, ImageID: imageA, Command: "/bb/bin/bb door init", State: "running",
		Labels: map[string]string{
			spec.LabelImage:    agentTag,
			spec.LabelSpecJSON: `{"workspace":{"mode":"mount","path":"/home/me/src","guest_path":"/home/node/workspace"}}`,
		},
		NetworkSettings: on("none", noneID),
		Mounts: []container.MountPoint{
			mountOf("volume", "bb-bin-0123456789ab", "/var/lib/docker/volumes/x/_data", "/bb/bin", false),
			mountOf("volume", driftID.DoorVolume(), "/var/lib/docker/volumes/y/_data", "/bb/door", false),
		},
	}
	x.HostConfig.NetworkMode = "none"
	return x
}

func healthySidecar() container.Summary {
	x := container.Summary{
		Image: gateTag, ImageID: imageA, State: "running",
		Command: "/usr/local/bin/bb sidecar run --door /run/bb/door/door.sock --control /run/bb/ctl/ctl.sock --ca /var/lib/bb/ca",
		Labels:  map[string]string{spec.LabelImage: gateTag, spec.LabelNetwork: ""},
		Mounts: []container.MountPoint{
			mountOf("volume", driftID.DoorVolume(), "", "/run/bb/door", true),
			mountOf("volume", driftID.CAVolume(), "", "/var/lib/bb/ca", true),
		},
		NetworkSettings: on("bb-egress", egressID),
	}
	x.HostConfig.NetworkMode = egressID
	return x
}

type alteration struct {
	what string
	edit func(*container.Summary, *scene)
	want []string
}

func judge(t *testing.T, healthy func() container.Summary, tests []alteration,
	verdict func(scene, spec.ID, container.Summary) []string,
) {
	t.Helper()
	for _, tt := range tests {
		x, s := healthy(), driftScene()
		tt.edit(&x, &s)
		if diff := cmp.Diff(tt.want, verdict(s, driftID, x)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

func TestAlteredAgent(t *testing.T) {
	home := strings.Repeat("f", 64)
	judge(t, healthyAgent, []alteration{
		{"as bb made it", func(*container.Summary, *scene) {}, nil},
		{"created, not started", func(x *container.Summary, _ *scene) {
			x.State, x.NetworkSettings = "created", on("none", "")
		}, nil},
		{"an engine without network settings", func(x *container.Summary, _ *scene) { x.NetworkSettings = nil }, nil},
		{"an engine with null networks", func(x *container.Summary, _ *scene) {
			x.NetworkSettings = &container.NetworkSettingsSummary{}
		}, nil},
		{"an engine with an empty network none", func(x *container.Summary, _ *scene) {
			x.NetworkSettings.Networks["none"] = nil
		}, nil},
		{"disconnected from none", func(x *container.Summary, _ *scene) { x.NetworkSettings = on() }, nil},
		{"an engine that lists next to nothing", func(x *container.Summary, s *scene) {
			*x = container.Summary{State: "running", Labels: x.Labels}
			*s = scene{}
		}, nil},
		{"an engine that lists no volumes", func(_ *container.Summary, s *scene) { s.volumes = map[string]bool{} }, nil},
		{"connected", func(x *container.Summary, _ *scene) { x.NetworkSettings = on("corp", corpID) }, []string{"it is on network corp"}},
		{"connected, stopped", func(x *container.Summary, _ *scene) {
			x.State, x.NetworkSettings = "exited", on("corp", corpID, "bb-egress", egressID)
		}, []string{"it is on network bb-egress", "it is on network corp"}},
		{"connected, networks unknown", func(x *container.Summary, s *scene) {
			x.NetworkSettings, s.networks = on("corp", corpID), nil
		}, []string{"it is on network corp"}},
		{"connected to a network that calls itself none", func(x *container.Summary, _ *scene) {
			x.NetworkSettings = on("none", corpID)
		}, []string{"it is on network corp"}},
		{
			"host mode", func(x *container.Summary, _ *scene) { x.HostConfig.NetworkMode, x.NetworkSettings = "host", nil },
			[]string{"its network mode is host, not none"},
		},
		{"another's network", func(x *container.Summary, _ *scene) {
			x.HostConfig.NetworkMode, x.NetworkSettings = "container:abc", on()
		}, []string{"its network mode is container:abc, not none"}},
		{"paused", func(x *container.Summary, _ *scene) { x.State = "paused" }, nil},
		{
			"another program", func(x *container.Summary, _ *scene) { x.Command = "sleep 1000" },
			[]string{`its first process is "sleep 1000", not bb's`},
		},
		{
			"a program that begins alike", func(x *container.Summary, _ *scene) { x.Command = "/bb/bin/bb door initial" },
			[]string{`its first process is "/bb/bin/bb door initial", not bb's`},
		},
		{"the workspace", func(x *container.Summary, _ *scene) {
			x.Mounts = append(x.Mounts, mountOf("bind", "", "/home/me/src", "/home/node/workspace", true))
		}, nil},
		{"the workspace on Docker Desktop", func(x *container.Summary, _ *scene) {
			x.Mounts = append(x.Mounts, mountOf("bind", "", "/host_mnt/home/me/src", "/home/node/workspace", true))
		}, nil},
		{"a workspace that is not declared", func(x *container.Summary, _ *scene) {
			x.Labels[spec.LabelSpecJSON] = strings.ReplaceAll(x.Labels[spec.LabelSpecJSON], `"mount"`, `"copy"`)
			x.Mounts = append(x.Mounts, mountOf("bind", "", "/home/me/src", "/home/node/workspace", true))
		}, []string{"/home/me/src of the host is mounted at /home/node/workspace"}},
		{"another directory as workspace", func(x *container.Summary, _ *scene) {
			x.Mounts = append(x.Mounts, mountOf("bind", "", "/home/me", "/home/node/workspace", true))
		}, []string{"/home/me of the host is mounted at /home/node/workspace"}},
		{"the workspace elsewhere", func(x *container.Summary, _ *scene) {
			x.Mounts = append(x.Mounts, mountOf("bind", "", "/home/me/src", "/bb/door", true))
		}, []string{"/home/me/src of the host is mounted at /bb/door"}},
		{"the engine's socket", func(x *container.Summary, _ *scene) {
			x.Mounts = append(x.Mounts, mountOf("bind", "", "/var/run/docker.sock", "/var/run/docker.sock", true))
		}, []string{"/var/run/docker.sock of the host is mounted at /var/run/docker.sock"}},
		{"a type that is not told", func(x *container.Summary, _ *scene) {
			x.Mounts = append(x.Mounts, mountOf("", "", "/etc", "/x", true), mountOf("", "other", "", "/y", true))
		}, []string{"/etc of the host is mounted at /x", "volume other is mounted at /y"}},
		{"what an image declares, and memory", func(x *container.Summary, _ *scene) {
			x.Mounts = append(x.Mounts, mountOf("volume", home, "", "/data", true), mountOf("tmpfs", "", "", "/run/bb", true))
		}, nil},
		{"a nameless volume over bb's", func(x *container.Summary, _ *scene) {
			x.Mounts = append(x.Mounts, mountOf("volume", home, "", "/bb/door", true))
		}, []string{"volume " + shorten(home) + " is mounted at /bb/door"}},
		{
			"a neighbour's door", func(x *container.Summary, _ *scene) { x.Mounts[1].Name = "bb-other-012345_door" },
			[]string{"volume bb-other-012345_door is mounted at /bb/door"},
		},
		{
			"a writable door", func(x *container.Summary, _ *scene) { x.Mounts[1].RW = true },
			[]string{"/bb/door is mounted writable"},
		},
		{"no door", func(x *container.Summary, _ *scene) { x.Mounts = x.Mounts[:1] }, []string{"/bb/door is not mounted"}},
		{
			"its authority is lost", func(_ *container.Summary, s *scene) { delete(s.volumes, driftID.CAVolume()) },
			[]string{"its volume bb-dev-012345_ca is gone"},
		},
		{
			"another image", func(x *container.Summary, _ *scene) { x.Image, x.ImageID = "committed:latest", imageB },
			[]string{"it was made of image committed:latest, not of bb-dev:0123456789ab"},
		},
		{"another name of the same image", func(x *container.Summary, _ *scene) { x.Image = "keep:me" }, nil},
		{"podman's name", func(x *container.Summary, s *scene) {
			x.Image, x.ImageID, s.images = "localhost/"+agentTag, strings.TrimPrefix(imageA, "sha256:"), nil
		}, nil},
		{"the tag is gone", func(x *container.Summary, s *scene) { x.Image, s.images = imageA, nil }, nil},
		{
			"the tag was moved", func(x *container.Summary, s *scene) { x.Image, s.images[agentTag] = imageA, tagged{imageB, false} },
			[]string{"bb-dev:0123456789ab names another image now"},
		},
		{"bb built it again", func(x *container.Summary, s *scene) {
			x.Image, s.images[agentTag], s.builds = imageA, tagged{imageB, true}, map[string]string{imageA: agentTag}
		}, nil},
		{"bb built it again, the old one is not known", func(x *container.Summary, s *scene) {
			x.Image, s.images[agentTag] = imageA, tagged{imageB, true}
		}, nil},
		{"a committed image by id", func(x *container.Summary, s *scene) {
			x.Image, x.ImageID, s.builds = imageB, imageB, map[string]string{imageB: ""}
		}, []string{"it was made of another image than bb-dev:0123456789ab"}},
		{"an image by reference", func(x *container.Summary, _ *scene) {
			x.Labels[spec.LabelImage], x.Image = "debian:12@aaaaaaaaaaaa", imageA
		}, nil},
		{"an image by reference, no id listed", func(x *container.Summary, _ *scene) {
			x.Labels[spec.LabelImage], x.Image, x.ImageID = "debian:12@aaaaaaaaaaaa", "", ""
		}, nil},
		{"an image by reference, updated by a tool", func(x *container.Summary, _ *scene) {
			x.Labels[spec.LabelImage], x.Image, x.ImageID = "debian:12@aaaaaaaaaaaa", "debian:12", imageB
		}, []string{"it was made of another image than debian:12@aaaaaaaaaaaa"}},
	}, scene.agent)
}

func TestAlteredSidecar(t *testing.T) {
	judge(t, healthySidecar, []alteration{
		{"as bb made it", func(*container.Summary, *scene) {}, nil},
		{"created, not started", func(x *container.Summary, _ *scene) {
			x.State, x.NetworkSettings = "created", on("bb-egress", "")
		}, nil},
		{"created, listed by id", func(x *container.Summary, _ *scene) {
			x.State, x.NetworkSettings = "created", on(egressID, "")
		}, nil},
		{"created, nothing listed", func(x *container.Summary, _ *scene) { x.State, x.NetworkSettings = "created", on() }, nil},
		{"stopped", func(x *container.Summary, _ *scene) { x.State = "exited" }, nil},
		{"an engine that lists next to nothing", func(x *container.Summary, s *scene) {
			*x = container.Summary{State: "running", Labels: x.Labels}
			*s = scene{}
		}, nil},
		{"an engine that names the mode", func(x *container.Summary, _ *scene) { x.HostConfig.NetworkMode = "bb-egress" }, nil},
		{"a network of one's own", func(x *container.Summary, _ *scene) {
			x.Labels[spec.LabelNetwork], x.HostConfig.NetworkMode, x.NetworkSettings = "corp", corpID, on("corp", corpID)
		}, nil},
		{"two networks of that name", func(_ *container.Summary, s *scene) { s.networks[goneID] = "bb-egress" }, nil},
		{"connected to another", func(x *container.Summary, _ *scene) {
			x.NetworkSettings = on("bb-egress", egressID, "corp", corpID)
		}, []string{"it is on network corp"}},
		{
			"moved to another", func(x *container.Summary, _ *scene) { x.NetworkSettings = on("corp", corpID) },
			[]string{"it is on network corp", "it is not on network bb-egress"},
		},
		{
			"disconnected", func(x *container.Summary, _ *scene) { x.NetworkSettings = on() },
			[]string{"it is not on network bb-egress"},
		},
		{"network removed and made again", func(x *container.Summary, _ *scene) {
			x.HostConfig.NetworkMode, x.NetworkSettings = goneID, on()
		}, []string{"its network bb-egress was removed and made again"}},
		{
			"made again, connected by hand", func(x *container.Summary, _ *scene) { x.HostConfig.NetworkMode = goneID },
			[]string{"its network bb-egress was removed and made again"},
		},
		{"made again while it was stopped", func(x *container.Summary, _ *scene) {
			x.State, x.HostConfig.NetworkMode, x.NetworkSettings = "exited", goneID, on("bb-egress", goneID)
		}, []string{"its network bb-egress was removed and made again"}},
		{"network gone", func(x *container.Summary, s *scene) {
			x.NetworkSettings = on()
			delete(s.networks, egressID)
		}, []string{"its network bb-egress is gone"}},
		{"the host's network", func(x *container.Summary, s *scene) {
			s.networks[goneID] = "host"
			x.HostConfig.NetworkMode, x.NetworkSettings = "host", on("host", goneID)
		}, []string{"it is on network host", "it is not on network bb-egress"}},
		{"a mount of the host", func(x *container.Summary, _ *scene) {
			x.Mounts = append(x.Mounts, mountOf("bind", "", "/srv", "/srv", false))
		}, []string{"/srv of the host is mounted at /srv"}},
		{
			"another authority", func(x *container.Summary, _ *scene) { x.Mounts[1].Name = "mine" },
			[]string{"volume mine is mounted at /var/lib/bb/ca", "volume bb-dev-012345_ca is not mounted"},
		},
		{
			"a lost volume", func(_ *container.Summary, s *scene) { delete(s.volumes, driftID.DoorVolume()) },
			[]string{"its volume bb-dev-012345_door is gone"},
		},
		{"another program", func(x *container.Summary, _ *scene) { x.Command = "sh" }, []string{`its first process is "sh", not bb's`}},
		{"another version's arguments", func(x *container.Summary, _ *scene) { x.Command = "/usr/local/bin/bb sidecar run --new" }, nil},
		{"another version's image", func(x *container.Summary, _ *scene) {
			x.Labels[spec.LabelImage], x.Image, x.ImageID = "bb-sidecar:ba9876543210", "bb-sidecar:ba9876543210", imageB
		}, nil},
		{
			"the tag was moved", func(x *container.Summary, s *scene) { x.Image, s.images[gateTag] = imageA, tagged{imageB, false} },
			[]string{"bb-sidecar:0123456789ab names another image now"},
		},
		{"paused", func(x *container.Summary, _ *scene) { x.State = "paused" }, []string{"it is paused"}},
	}, scene.sidecar)
}

// What people are shown was written by whoever made the container.
func TestAlteredIsPlainText(t *testing.T) {
	x := healthyAgent()
	x.Command = "\x1b[2J" + strings.Repeat("x", 200)
	x.Mounts = append(x.Mounts, mountOf("bind", "", "/a\x1b[31m\u202e", "/b\n\x07", true))
	for _, fact := range driftScene().agent(driftID, x) {
		if strings.ContainsAny(fact, "\x1b\x07\n\u202e") || len(fact) > 200 {
			t.Errorf("%q", fact)
		}
	}
}

// A list of volumes that the engine calls incomplete proves nothing.
func TestSceneOfPartialLists(t *testing.T) {
	s := newScene(nil, volume.ListResponse{Volumes: []*volume.Volume{{Name: "x"}}, Warnings: []string{"plugin"}})
	if s.networks != nil || s.volumes != nil {
		t.Errorf("%+v", s)
	}
}

// FuzzAltered: an engine may list anything, and no judgement fails.
func FuzzAltered(f *testing.F) {
	for _, x := range []container.Summary{healthyAgent(), healthySidecar(), {}} {
		text, err := json.Marshal(x)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"NetworkSettings":{"Networks":{"none":null,"":{}}},"Mounts":[{}],"Image":":"}`))
	f.Fuzz(func(_ *testing.T, text []byte) {
		var x container.Summary
		if json.Unmarshal(text, &x) != nil {
			return
		}
		for _, s := range []scene{{}, driftScene()} {
			s.agent(driftID, x)
			s.sidecar(driftID, x)
		}
	})
}
