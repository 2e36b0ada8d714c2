package docker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

// short is an orphan without what differs from run to run.
func short(list []backends.Orphan) []string {
	var out []string
	for _, o := range list {
		out = append(out, o.Kind+" "+o.Name+": "+o.Why)
	}
	return out
}

// TestOrphansOfLists are the rules on what engines list: the network is shared
// by all tests of an engine and is judged here alone.
func TestOrphansOfLists(t *testing.T) {
	const owner = "me"
	labels := func(role string, edit ...string) map[string]string {
		l := map[string]string{spec.LabelManaged: "1", spec.LabelOwner: owner, spec.LabelVersion: "1", spec.LabelRole: role}
		for i := 0; i < len(edit); i += 2 {
			l[edit[i]] = edit[i+1]
		}
		return l
	}
	bridge := func(edit ...string) network.Summary {
		return network.Summary{Name: SharedNetwork, ID: egressID, Labels: labels(spec.RoleNetwork, edit...)}
	}
	tagged := func(tag string, edit ...string) image.Summary {
		return image.Summary{
			ID: imageA, RepoTags: []string{tag}, Size: 7,
			Labels: labels(spec.RoleImage, append([]string{spec.LabelImage, tag}, edit...)...),
		}
	}
	bin := func(name string, edit ...string) *volume.Volume {
		return &volume.Volume{Name: name, Labels: labels(spec.RoleBinary, edit...)}
	}
	at := time.Unix(10_000, 0)
	filler := func(state string, age time.Duration) container.Summary {
		return container.Summary{
			ID: "f", Names: []string{"/bb-bin-0123456789ab_fill"}, State: state, Created: at.Add(-age).Unix(), Labels: labels(spec.RoleBinary),
			Mounts: []container.MountPoint{{Type: "volume", Name: "bb-bin-0123456789ab"}},
		}
	}
	user := container.Summary{ID: "u", Names: []string{"/u"}, ImageID: imageA, Mounts: []container.MountPoint{{Name: "bb-bin-0123456789ab"}}}
	member := container.Summary{NetworkSettings: on(SharedNetwork, egressID)}
	stopped := container.Summary{State: "created", NetworkSettings: on(SharedNetwork, "")}
	mode := container.Summary{}
	mode.HostConfig.NetworkMode = egressID
	const old, binGone = "volume bb-bin-0123456789ab: holds another bb, and no bottle uses it", "volume bb-bin-0123456789ab_full: marks a volume that is gone"
	for _, tt := range []struct {
		what  string
		stock stock
		want  []string
	}{
		{"nothing", stock{}, nil},
		{"an unused network", stock{networks: []network.Summary{bridge()}}, []string{"network bb-egress: no sidecar is on it"}},
		{"another owner's network", stock{networks: []network.Summary{bridge(spec.LabelOwner, "you")}}, nil},
		{"a network of another name", stock{networks: []network.Summary{{Name: "bb-egress2", Labels: labels(spec.RoleNetwork)}}}, nil},
		{"a network of nobody", stock{networks: []network.Summary{{Name: SharedNetwork}}}, nil},
		{"a network in use", stock{networks: []network.Summary{bridge()}, containers: []container.Summary{member}}, nil},
		{"a network of a stopped one", stock{networks: []network.Summary{bridge()}, containers: []container.Summary{stopped}}, nil},
		{"a network by its mode", stock{networks: []network.Summary{bridge()}, containers: []container.Summary{mode}}, nil},
		{"an old sidecar image", stock{images: []image.Summary{tagged(gateTag)}}, []string{"image " + gateTag + ": no sidecar uses it"}},
		{"the current one", stock{sidecar: gateTag, images: []image.Summary{tagged(gateTag)}}, nil},
		{"an old image", stock{images: []image.Summary{tagged(agentTag)}}, []string{"image " + agentTag + ": no bottle uses it"}},
		{"an image in use", stock{images: []image.Summary{tagged(agentTag)}, containers: []container.Summary{user}}, nil},
		{"an image of another owner", stock{images: []image.Summary{tagged(agentTag, spec.LabelOwner, "you")}}, nil},
		{"an image of an older bb without labels", stock{images: []image.Summary{{ID: imageA, RepoTags: []string{agentTag}}}}, nil},
		{"an image made of one of ours", stock{images: []image.Summary{tagged("mine:latest", spec.LabelImage, agentTag)}}, nil},
		{"an image committed from a bottle", stock{images: []image.Summary{tagged(agentTag, spec.LabelRole, spec.RoleAgent)}}, nil},
		{"an image that somebody named", stock{images: []image.Summary{{
			ID: imageA, RepoTags: []string{agentTag, "keep:me"}, Labels: tagged(agentTag).Labels,
		}}}, nil},
		{"an old binary", stock{volumes: []*volume.Volume{bin("bb-bin-0123456789ab"), bin("bb-bin-0123456789ab_full")}}, []string{old}},
		{"the current binary", stock{volume: "bb-bin-0123456789ab", volumes: []*volume.Volume{
			bin("bb-bin-0123456789ab"), bin("bb-bin-0123456789ab_full"),
		}}, nil},
		{"a binary in use", stock{containers: []container.Summary{user}, volumes: []*volume.Volume{
			bin("bb-bin-0123456789ab"), bin("bb-bin-0123456789ab_full"),
		}}, nil},
		{"a binary with another's marker", stock{volumes: []*volume.Volume{
			bin("bb-bin-0123456789ab"), bin("bb-bin-0123456789ab_full", spec.LabelOwner, "you"),
		}}, nil},
		{"a marker alone", stock{volumes: []*volume.Volume{bin("bb-bin-0123456789ab_full")}}, []string{binGone}},
		{"look-alikes of volumes", stock{volumes: []*volume.Volume{
			bin("bb-bin-0123456789ab", spec.LabelRole, spec.RoleDoor), bin("bb-bin-x"), {Name: "bb-bin-0123456789ac"},
		}}, nil},
		{"a filler that was left behind", stock{containers: []container.Summary{filler("created", time.Hour)}, volumes: []*volume.Volume{
			bin("bb-bin-0123456789ab"),
		}}, []string{"container bb-bin-0123456789ab_fill: left behind by an apply that was cut off", old}},
		{"a filler at work", stock{containers: []container.Summary{filler("created", time.Second)}, volumes: []*volume.Volume{
			bin("bb-bin-0123456789ab"),
		}}, nil},
		{"a filler that runs", stock{containers: []container.Summary{filler("running", time.Hour)}}, nil},
	} {
		tt.stock.owner, tt.stock.now = owner, at
		if diff := cmp.Diff(tt.want, short(tt.stock.orphans())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
		tt.stock.owner = ""
		if got := tt.stock.orphans(); got != nil {
			t.Errorf("%s: without an owner: %v", tt.what, got)
		}
	}
}

// TestOrphans makes, lists and removes each kind on the real engine, beside
// look-alikes that survive. All images are new: what another test uses is not
// touched.
func TestOrphans(t *testing.T) {
	d := newDriver(t)
	c, ctx := raw(t), t.Context()
	if err := d.Prepare(ctx, nil); err != nil {
		t.Fatal(err)
	}
	prefix := "bb-bbtest-o" + randomHex(t, 3)
	build := func(d *Driver, tag string) {
		t.Helper()
		err := d.build(ctx, buildJob{tag: tag, dockerfile: "ARG BASE\nFROM ${BASE}\nENV A=" + randomHex(t, 4) + "\n", base: DefaultBaseImage}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_, _ = c.ImageRemove(backgroundOf(t), tag, image.RemoveOptions{Force: true, PruneChildren: true})
		})
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	stranger, err := New(Options{Owner: randomHex(t, 16), Version: "test", Binary: testBinary})
	must(err)
	other := func(labels map[string]string) map[string]string {
		labels[spec.LabelOwner] = stranger.opts.Owner
		return labels
	}
	makeVolume := func(name string, labels map[string]string) {
		t.Helper()
		_, err := c.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: labels})
		must(err)
		t.Cleanup(func() { _ = c.VolumeRemove(backgroundOf(t), name, true) })
	}
	makeContainer := func(name, image, vol string, labels map[string]string) string {
		t.Helper()
		host := &container.HostConfig{NetworkMode: "none"}
		if vol != "" {
			host.Binds = []string{vol + ":/x"}
		}
		made, err := c.ContainerCreate(ctx, &container.Config{Image: image, Cmd: []string{"true"}, Labels: labels}, host, nil, nil, name)
		must(err)
		t.Cleanup(func() { _ = c.ContainerRemove(backgroundOf(t), made.ID, container.RemoveOptions{Force: true}) })
		return made.ID
	}

	unused, used, named, theirs := prefix+":0000000000aa", prefix+":0000000000bb", prefix+":0000000000cc", prefix+":0000000000dd"
	twice := prefix + ":0000000000ee"
	for _, tag := range []string{unused, used, named, twice} {
		build(d, tag)
	}
	first, err := d.imageID(ctx, twice)
	must(err)
	build(d, twice) // the first build loses its tag
	build(stranger, theirs)
	must(c.ImageTag(ctx, named, "bbtest-keep:"+prefix[len(prefix)-6:]))
	t.Cleanup(func() {
		_, _ = c.ImageRemove(backgroundOf(t), "bbtest-keep:"+prefix[len(prefix)-6:], image.RemoveOptions{})
	})
	makeContainer("", used, "", nil)
	// An image without a name that somebody made of one of ours.
	derived, err := c.ContainerCommit(ctx, makeContainer("", used, "", nil), container.CommitOptions{})
	must(err)
	t.Cleanup(func() { _, _ = c.ImageRemove(backgroundOf(t), derived.ID, image.RemoveOptions{Force: true}) })

	digest := func() binary { return binary{digest: randomHex(t, 6)} }
	oldBin, usedBin, theirBin, loneMark, filling := digest(), digest(), digest(), digest(), digest()
	mine := func() map[string]string { return d.shared(spec.RoleBinary) }
	makeVolume(binVolume(oldBin), mine())
	makeVolume(binMarker(oldBin), mine())
	makeVolume(binVolume(usedBin), mine())
	makeVolume(binMarker(usedBin), mine())
	user := makeContainer("", DefaultBaseImage, binVolume(usedBin), nil)
	makeVolume(binVolume(theirBin), other(mine()))
	makeVolume(binMarker(loneMark), mine())
	makeVolume(binVolume(filling), mine())
	makeVolume("bb-bin-not"+randomHex(t, 3), mine())
	filler := makeContainer(binFiller(filling), DefaultBaseImage, binVolume(filling), mine())
	makeContainer(binFiller(theirBin), DefaultBaseImage, "", other(mine()))

	later := time.Now().Add(time.Hour)
	list, err := d.orphansAt(ctx, later)
	must(err)
	// The binary and the network of this run are shared with other tests, which
	// may own them or use them at this moment.
	var own []backends.Orphan
	for _, o := range list {
		if o.Kind != kindNetwork {
			own = append(own, o)
		}
	}
	byName := map[string]backends.Orphan{}
	for _, o := range own {
		byName[o.Name] = o
	}
	want := map[string]string{
		binFiller(filling): kindContainer, binVolume(filling): kindVolume,
		binVolume(oldBin): kindVolume, binMarker(loneMark): kindVolume,
		unused: kindImage, twice: kindImage, shortID(first): kindImage,
	}
	got := map[string]string{}
	for _, o := range own {
		got[o.Name] = o.Kind
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("orphans (-want +got):\n%s", diff)
	}
	if byName[binFiller(filling)].Ref != filler || byName[unused].Size < 1<<20 {
		t.Errorf("%+v, %+v", byName[binFiller(filling)], byName[unused])
	}
	if now, err := d.Orphans(ctx); err != nil || strings.Contains(fmt.Sprint(now), "_fill") {
		t.Errorf("a filler at work is listed: %v, %v", now, err)
	}

	// Something comes to use it between the list and the removal.
	for _, late := range []struct{ name, image, volume string }{
		{unused, unused, ""}, {binVolume(oldBin), DefaultBaseImage, binVolume(oldBin)},
	} {
		id := makeContainer("", late.image, late.volume, nil)
		err := d.removeOrphanAt(ctx, byName[late.name], later)
		if err == nil || !strings.Contains(err.Error(), late.name+" is in use") {
			t.Errorf("%s that came to be used: %v", late.name, err)
		}
		must(c.ContainerRemove(ctx, id, container.RemoveOptions{}))
	}
	if v, err := c.VolumeInspect(ctx, binMarker(oldBin)); err != nil || v.Name == "" {
		t.Errorf("the marker of a volume in use is gone: %v", err)
	}
	for range 2 { // the second time all is gone
		for _, o := range own {
			if err := d.removeOrphanAt(ctx, o, later); err != nil {
				t.Errorf("remove %s %s: %v", o.Kind, o.Name, err)
			}
		}
	}
	// What is no orphan is not removed, whatever is asked.
	for _, o := range []backends.Orphan{
		{Kind: kindImage, Name: theirs, Ref: imageOf(t, d, theirs)},
		{Kind: kindImage, Name: named, Ref: imageOf(t, d, named)},
		{Kind: kindImage, Name: shortID(derived.ID), Ref: derived.ID},
		{Kind: kindImage, Name: DefaultBaseImage, Ref: imageOf(t, d, DefaultBaseImage)},
		{Kind: kindVolume, Name: binVolume(usedBin), Ref: binVolume(usedBin)},
		{Kind: kindVolume, Name: binVolume(theirBin), Ref: binVolume(theirBin)},
		{Kind: kindContainer, Name: "x", Ref: user},
	} {
		if err := d.removeOrphanAt(ctx, o, later); err == nil || !strings.Contains(err.Error(), "is in use, or not what it was") {
			t.Errorf("remove %s %s: %v", o.Kind, o.Name, err)
		}
	}
	for _, tag := range []string{theirs, named, used, derived.ID} {
		if imageOf(t, d, tag) == "" {
			t.Errorf("image %s did not survive", tag)
		}
	}
	for _, name := range []string{binVolume(usedBin), binMarker(usedBin), binVolume(theirBin)} {
		if _, err := c.VolumeInspect(ctx, name); err != nil {
			t.Errorf("volume %s did not survive: %v", name, err)
		}
	}
	for name := range want {
		if o := byName[name]; o.Kind == kindImage && imageOf(t, d, o.Ref) != "" {
			t.Errorf("image %s is still there", name)
		}
	}
}

func imageOf(t *testing.T, d *Driver, ref string) string {
	t.Helper()
	id, err := d.imageID(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestMarkerOfAnOlderVolume: somebody removed the volume and left its marker,
// which must not call an empty one full.
func TestMarkerOfAnOlderVolume(t *testing.T) {
	d := newDriver(t)
	c, ctx := raw(t), t.Context()
	b := binary{arch: "amd64", digest: randomHex(t, 6)}
	if _, err := c.VolumeCreate(ctx, volume.CreateOptions{Name: binMarker(b), Labels: d.shared(spec.RoleBinary)}); err != nil {
		t.Fatal(err)
	}
	d.opts.Binary = "/no/such/bb" // the fill fails after the volume is made
	if err := d.ensureBinary(ctx, b); err == nil {
		t.Fatal("filled from nothing")
	}
	if _, err := c.VolumeInspect(ctx, binVolume(b)); err != nil {
		t.Fatal(err)
	}
	if full, err := d.binaryReady(ctx, b); err != nil || full {
		t.Errorf("an empty volume is full: %v, %v", full, err)
	}
}
