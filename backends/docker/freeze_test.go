package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// freeze makes an image of a bottle that is gone after the test.
func freeze(t *testing.T, d *Driver, s *spec.Spec) string {
	t.Helper()
	name := "localhost/bbtest-frozen:" + randomHex(t, 4)
	t.Cleanup(func() {
		_, _ = raw(t).ImageRemove(backgroundOf(t), name, image.RemoveOptions{Force: true, PruneChildren: true})
	})
	id, err := d.Freeze(t.Context(), s.ID, name)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := d.imageID(t.Context(), name); err != nil || at != id {
		t.Fatalf("%s is %s, %v; frozen was %s", name, at, err, id)
	}
	return name
}

// TestFreeze makes a bottle of another agent of a frozen one: what bb placed for
// the old agent is not in it, what the agent made is, and the old bottle never
// noticed.
func TestFreeze(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	giveGit(t, d, s)
	s.Live.GitUser = spec.GitUser{Name: "Old Agent", Email: "old@example.com"}
	s.Files = append(s.Files,
		spec.File{Path: spec.Home + "/.tool", Dir: true, Mode: 0o700},
		spec.File{Path: spec.Home + "/.tool/login", Mode: 0o600, Content: []byte("account-of-the-host"), Part: spec.PartLogin})
	withSkills(s, map[string][]string{"one": {"SKILL.md"}})
	bringUp(t, d, s)
	s.Live.Remotes = []egress.Remote{{Name: "origin", Upstream: "ssh://git@git.example.com/a/b.git"}}
	if err := d.Provision(t.Context(), s, spec.Secrets{}, []string{spec.PartGit, spec.PartIdentity}); err != nil {
		t.Fatal(err)
	}
	if out, code := sh(t, d, s, "echo work > ~/kept; mkdir -p "+skillsDir+"/own; echo mine > "+skillsDir+"/own/SKILL.md; git config --global alias.st status; "+
		"chmod 500 "+skillsDir+"/one; echo $HIDDEN > /run/bb/seen; grep -c BEGIN "+spec.CAFile); code != 0 {
		t.Fatal(out)
	}
	oldCA, _ := sh(t, d, s, "cat "+spec.CAFile)
	before, _ := sh(t, d, s, "git config --global --list; find ~ -type f | sort; cat "+guest.RecordPath)
	was, err := raw(t).ContainerInspect(t.Context(), s.ID.Name())
	if err != nil {
		t.Fatal(err)
	}

	name := freeze(t, d, s)
	if _, err := d.Freeze(t.Context(), s.ID, name); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("a name that is taken: %v", err)
	}
	is, err := raw(t).ContainerInspect(t.Context(), s.ID.Name())
	if err != nil || is.ID != was.ID || is.State.Pid != was.State.Pid || is.State.Paused {
		t.Errorf("the bottle was disturbed: %+v, %v", is.State, err)
	}
	if after, _ := sh(t, d, s, "git config --global --list; find ~ -type f | sort; cat "+guest.RecordPath); after != before {
		t.Errorf("the bottle changed from %q to %q", before, after)
	}
	key, err := d.readFile(t.Context(), s.ID.Sidecar(), caDir+"/"+egress.CAKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	noTraces(t, raw(t), name, strings.Split(string(key), "\n")[1])
	if left := freezersOf(t, d); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	noRecords(t, d, name)

	other := newSpec(t, d)
	other.ID.Agent = "other"
	other.Image, other.Files, other.Live.Prompt = spec.Image{Name: "frozen", Ref: name}, nil, ""
	bringUp(t, d, other)
	for line, want := range map[string]string{
		"git config --global --list":                                   "alias.st=status\n",
		"ls -A ~/.bb ~/.tool " + skillsDir + " 2>/dev/null":            "/home/node/.bb:\n\n/home/node/.tool:\nskills\n\n" + skillsDir + ":\nown\n",
		"cat ~/kept " + skillsDir + "/own/SKILL.md":                    "work\nmine\n",
		"cat " + guest.RecordPath:                                      "{}",
		"grep -c '# bb:' " + spec.CABundle:                             "1\n",
		"stat -c '%U %a' " + spec.CABundle + " " + spec.CAFile:         "root 644\nroot 644\n",
		"grep -rl -e old@example.com -e account-of-the-host ~ || true": "",
	} {
		if got, _ := sh(t, d, other, line); got != want {
			t.Errorf("%s says %q, want %q", line, got, want)
		}
	}
	bundle, _ := sh(t, d, other, "cat "+spec.CABundle+" "+spec.CAFile)
	if strings.Contains(bundle, strings.TrimSpace(oldCA)) || !strings.Contains(bundle, "BEGIN CERTIFICATE") {
		t.Error("the new bottle trusts the old one's authority")
	}
	works(t, d, other)
}

// noTraces searches an image with all its layers, and what the engine says of it.
func noTraces(t *testing.T, c *client.Client, name, key string) {
	t.Helper()
	i, err := c.ImageInspect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range i.Config.Labels {
		if strings.HasPrefix(key, "bb.") && value != "" {
			t.Errorf("label %s=%s", key, value)
		}
	}
	for _, e := range i.Config.Env {
		if strings.HasPrefix(e, "PLAIN=") && e != "PLAIN=" || strings.HasPrefix(e, "HIDDEN=") && e != "HIDDEN=" {
			t.Errorf("environment %s", e)
		}
	}
	if i.Config.User != "root" || slices.Contains(i.Config.Entrypoint, spec.BinaryPath) {
		t.Errorf("it runs %q as %q", i.Config.Entrypoint, i.Config.User)
	}
	layers, err := c.ImageSave(t.Context(), []string{name})
	if err != nil {
		t.Fatal(err)
	}
	defer layers.Close()
	text, err := io.ReadAll(layers)
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string]string{
		"the token": "sk-test-0123456789", "the secret environment": "hidden-env-value", "the environment": "plain value", "its sidecar's key": key,
	} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the image holds %s", what)
		}
	}
	if !bytes.Contains(text, []byte("work\n")) {
		t.Error("the search finds nothing that is there: it proves nothing")
	}
}

// noRecords looks at the files that whoever else uses the image finds.
func noRecords(t *testing.T, d *Driver, name string) {
	t.Helper()
	made, err := raw(t).ContainerCreate(t.Context(), &container.Config{Image: name, Cmd: []string{"true"}}, &container.HostConfig{NetworkMode: "none"}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer raw(t).ContainerRemove(backgroundOf(t), made.ID, container.RemoveOptions{}) //nolint:errcheck // it never ran
	for _, path := range []string{guest.RecordPath, spec.CAFile, spec.PromptFile} {
		if _, err := d.readFile(t.Context(), made.ID, path); !errdefs.IsNotFound(err) {
			t.Errorf("the image has %s: %v", path, err)
		}
	}
	bundle, err := d.readFile(t.Context(), made.ID, spec.CABundle)
	if _, had := guest.WithoutAuthority(bundle); err != nil || had {
		t.Errorf("who uses the image trusts the sidecar of a bottle: %v", err)
	}
}

func freezersOf(t *testing.T, d *Driver) (names []string) {
	t.Helper()
	list, err := raw(t).ContainerList(t.Context(), container.ListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		if x.Labels[spec.LabelRole] == spec.RoleFreezer && x.Labels[spec.LabelOwner] == d.opts.Owner {
			names = append(names, x.Names...)
		}
	}
	return names
}

// commits notes the images that it made, and after the first lets no command
// into a container.
type commits struct {
	engineAPI
	made []string
}

func (e *commits) ContainerCommit(ctx context.Context, id string, o container.CommitOptions) (container.CommitResponse, error) {
	r, err := e.engineAPI.ContainerCommit(ctx, id, o)
	e.made = append(e.made, r.ID)
	return r, err
}

func (e *commits) ContainerExecCreate(context.Context, string, container.ExecOptions) (container.ExecCreateResponse, error) {
	return container.ExecCreateResponse{}, errors.New("killed")
}

// TestFreezeOfNoUse: what goes wrong on the way leaves neither image nor container.
func TestFreezeOfNoUse(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUp(t, d, s)
	e := &commits{engineAPI: d.engine}
	d.engine = e
	name := "localhost/bbtest-frozen:" + randomHex(t, 4)
	if _, err := d.Freeze(t.Context(), s.ID, name); err == nil {
		t.Error("it froze what it could not clean")
	}
	if left := freezersOf(t, d); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if len(e.made) != 1 {
		t.Fatalf("commits: %v", e.made)
	}
	for _, image := range []string{name, e.made[0]} {
		if _, err := raw(t).ImageInspect(t.Context(), image); !errdefs.IsNotFound(err) {
			t.Errorf("%s stays: %v", image, err)
		}
	}
}

// One that a killed bb left is an orphan, also while it runs.
func TestFreezerIsAnOrphan(t *testing.T) {
	d := newDriver(t)
	name := freezer("sha256:" + randomHex(t, 32))
	made, err := raw(t).ContainerCreate(t.Context(), &container.Config{
		Image: DefaultBaseImage, Cmd: []string{"sleep", "60"}, Labels: d.shared(spec.RoleFreezer),
	}, &container.HostConfig{NetworkMode: "none"}, nil, nil, name)
	if err == nil {
		err = raw(t).ContainerStart(t.Context(), made.ID, container.StartOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	find := func(at time.Time) (found []backends.Orphan) {
		all, err := d.orphansAt(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(all, func(o backends.Orphan) bool { return o.Ref != made.ID })
	}
	if got := find(time.Now()); len(got) > 0 {
		t.Errorf("one that is used: %v", got)
	}
	later := time.Now().Add(time.Hour)
	got := find(later)
	if len(got) != 1 || got[0].Name != name {
		t.Fatalf("orphans: %v", got)
	}
	if err := d.removeOrphanAt(t.Context(), got[0], later); err != nil {
		t.Error(err)
	}
	if left := freezersOf(t, d); len(left) > 0 {
		t.Errorf("it stays: %v", left)
	}
}
