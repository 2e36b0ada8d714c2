package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Options configure the driver.
type Options struct {
	Path    string // of the JSON file; "" keeps the world in memory
	Owner   string
	Key     spec.Key
	Version string
}

// Driver is a backends.Driver over a JSON file.
type Driver struct {
	store
	o Options
}

var _ backends.Driver = (*Driver)(nil)

// New returns a driver whose world is the file at o.Path.
func New(o Options) *Driver {
	return &Driver{store: store{path: o.Path}, o: o}
}

// Name is the backend's word in manifests.
func (d *Driver) Name() string { return "fake" }

// Capabilities says that nothing is really built.
func (d *Driver) Capabilities() plan.Capabilities { return plan.Capabilities{Builds: true} }

// Check fails when the test asks for it.
func (d *Driver) Check(context.Context) error {
	return d.view(func(w *File) error { return w.fault("check", "") })
}

const sidecarImage = "fake-sidecar:1"

func imageRef(s *spec.Spec) string {
	if s.Image.Ref != "" {
		return s.Image.Ref
	}
	return "fake-" + s.Image.Name + ":1"
}

// Prepare makes the shared network.
func (d *Driver) Prepare(context.Context, *backends.BuildProxy) error {
	return d.update(func(w *File) error {
		if err := w.fault("prepare", ""); err != nil {
			return err
		}
		if w.SharedNetwork == "" {
			w.SharedNetwork = "ours"
		}
		return nil
	})
}

// EnsureImage records the image.
func (d *Driver) EnsureImage(_ context.Context, s *spec.Spec, _ *backends.BuildProxy) error {
	return d.update(func(w *File) error {
		if err := w.fault("ensure_image", s.ID.String()); err != nil {
			return err
		}
		if ref := imageRef(s); !slices.Contains(w.Images, ref) {
			w.Images = append(w.Images, ref)
		}
		return nil
	})
}

// CreateSidecar creates a running, unconfigured sidecar and both volumes.
func (d *Driver) CreateSidecar(_ context.Context, s *spec.Spec) error {
	return d.change("create_sidecar", s.ID, func(w *File) error {
		for role, name := range map[string]string{spec.RoleDoor: s.ID.DoorVolume(), spec.RoleCA: s.ID.CAVolume()} {
			if err := w.claimVolume(name, d.labels(s, role)); err != nil {
				return err
			}
		}
		labels := d.labels(s, spec.RoleSidecar)
		labels[spec.LabelImage] = sidecarImage
		labels[spec.LabelNetwork] = s.Gate.Network
		if s.Gate.Pipelock {
			labels[spec.LabelPipelock] = "1"
		}
		c, err := w.claim(s.ID.Sidecar(), labels)
		if err != nil {
			return err
		}
		start(c)
		return nil
	})
}

// StartSidecar starts it; it comes back unconfigured.
func (d *Driver) StartSidecar(_ context.Context, s *spec.Spec) error {
	return d.change("start_sidecar", s.ID, func(w *File) error {
		c, err := d.ours(w, s.ID, spec.RoleSidecar)
		if err != nil {
			return err
		}
		start(c)
		return nil
	})
}

func start(c *Container) {
	if !c.Running {
		c.State = &egress.StateLine{Version: 1, State: egress.StateUnconfigured}
		c.Document = nil
	}
	c.Running = true
}

// Configure swaps the document as a sidecar would: values and the canary are
// dropped, since this world is a file; a keep that is not held is refused.
func (d *Driver) Configure(_ context.Context, s *spec.Spec, secrets spec.Secrets, parts []string) error {
	return d.change("configure", s.ID, func(w *File) error {
		c, err := d.ours(w, s.ID, spec.RoleSidecar)
		if err != nil {
			return err
		}
		if !c.Running {
			return errors.New("the sidecar does not run")
		}
		doc := s.Document(secrets, parts)
		state := &egress.StateLine{
			Version: 1, State: egress.StateConfigured, Build: d.o.Version,
			Live: doc.Live, Tokens: map[string]string{}, Rules: doc.Rules().Digest(),
		}
		for slot, t := range doc.Tokens {
			if t.Value == "" && (t.Keep == "" || c.State == nil || c.State.Tokens[slot] != t.Keep) {
				return fmt.Errorf("the sidecar does not hold the token of %s", slot)
			}
			if strings.HasPrefix(slot, egress.SlotGit) && egress.KindOf(t.Value) == egress.CredentialAgent {
				state.Agent = egress.AgentGone // there is nobody to connect to
			}
			state.Tokens[slot] = t.Digest + t.Keep
			doc.Tokens[slot] = egress.Token{Digest: t.Digest + t.Keep}
		}
		doc.Canary = "" // as a sidecar shows it
		c.State, c.Document = state, &doc
		return nil
	})
}

// CreateAgent creates it without starting it.
func (d *Driver) CreateAgent(_ context.Context, s *spec.Spec) error {
	return d.change("create_agent", s.ID, func(w *File) error {
		if !slices.Contains(w.Images, imageRef(s)) {
			return fmt.Errorf("image %s is not there", imageRef(s))
		}
		labels := d.labels(s, spec.RoleAgent)
		labels[spec.LabelImage] = imageRef(s)
		labels[spec.LabelSpec] = s.Hash(d.o.Key)
		labels[spec.LabelSpecJSON] = s.FixedJSON(d.o.Key)
		labels[spec.LabelTranscript] = s.Program.Transcript
		c, err := w.claim(s.ID.Name(), labels)
		if ws := s.Fixed.Workspace; err == nil && ws.Declared() {
			c.Workspace = ws.Mode + " " + ws.Path + " at " + ws.GuestPath
		}
		return err
	})
}

// StartAgent places the files and starts it; it needs a sidecar that enforces.
func (d *Driver) StartAgent(_ context.Context, s *spec.Spec) error {
	return d.change("start_agent", s.ID, func(w *File) error {
		gate, err := d.ours(w, s.ID, spec.RoleSidecar)
		if err != nil {
			return err
		}
		if gate.State == nil || gate.State.State != egress.StateConfigured {
			return errors.New("the sidecar is not configured")
		}
		c, err := d.ours(w, s.ID, spec.RoleAgent)
		if err != nil {
			return err
		}
		if !c.Running {
			c.Files, c.Env = nil, nil
			for _, f := range s.Files {
				c.Files = append(c.Files, f.Path)
			}
			for _, p := range []string{spec.PartPrompt, spec.PartSkills} {
				if s.LiveHashes()[p] != "" {
					c.done(s, []string{p}) // its files; what is gone from a manifest stays
				}
			}
		}
		c.Running, c.Paused = true, false
		return nil
	})
}

// Provision records the names of the secret environment and what was done.
func (d *Driver) Provision(_ context.Context, s *spec.Spec, secrets spec.Secrets, parts []string) error {
	return d.change("provision", s.ID, func(w *File) error {
		c, err := d.ours(w, s.ID, spec.RoleAgent)
		if err != nil {
			return err
		}
		if !c.Running {
			return errors.New("the agent does not run")
		}
		if len(secrets.Env) > 0 {
			c.Env = slices.Sorted(maps.Keys(secrets.Env))
		}
		c.done(s, parts)
		return nil
	})
}

// done notes what an agent was given, and what was taken from it.
func (c *Container) done(s *spec.Spec, parts []string) {
	if c.Inside == nil {
		c.Inside = map[string]string{}
	}
	for _, p := range parts {
		delete(c.Inside, p)
		if h, ok := s.LiveHashes()[p]; ok {
			c.Inside[p] = h
		}
		c.configureGit(s, p)
	}
}

// configureGit sets the keys of one part, and unsets those that are not
// declared any more.
func (c *Container) configureGit(s *spec.Spec, part string) {
	maps.DeleteFunc(c.Git, func(key string, _ []string) bool {
		return part == spec.PartGit && strings.HasPrefix(key, "url.") || part == spec.PartIdentity && strings.HasPrefix(key, "user.")
	})
	for _, x := range spec.GitConfig(s) {
		if x.Part != part {
			continue
		}
		if c.Git == nil {
			c.Git = map[string][]string{}
		}
		c.Git[x.Key] = x.Values
	}
}

// Stop ends the agent and its sidecar.
func (d *Driver) Stop(_ context.Context, id spec.ID) error {
	return d.change("stop", id, func(w *File) error {
		for _, role := range []string{spec.RoleAgent, spec.RoleSidecar} {
			if w.Containers[id.Name()] == nil && role == spec.RoleAgent || w.Containers[id.Sidecar()] == nil && role == spec.RoleSidecar {
				continue
			}
			c, err := d.ours(w, id, role)
			if err != nil {
				return err
			}
			c.Running, c.Paused, c.State, c.Document = false, false, nil, nil
		}
		return nil
	})
}

// Freeze records an image of that name.
func (d *Driver) Freeze(_ context.Context, id spec.ID, image string) (string, error) {
	return "sha256:" + image, d.change("freeze", id, func(w *File) error {
		if _, err := d.ours(w, id, spec.RoleAgent); err != nil {
			return err
		}
		if slices.Contains(w.Images, image) {
			return fmt.Errorf("an image %s exists already", image)
		}
		w.Images = append(w.Images, image)
		return nil
	})
}

// RemoveAgent removes it if it is ours.
func (d *Driver) RemoveAgent(_ context.Context, id spec.ID) error {
	return d.change("remove_agent", id, func(w *File) error { return d.drop(w, id.Name()) })
}

// RemoveSidecar removes it if it is ours; its volumes stay.
func (d *Driver) RemoveSidecar(_ context.Context, id spec.ID) error {
	return d.change("remove_sidecar", id, func(w *File) error { return d.drop(w, id.Sidecar()) })
}

// RemoveVolumes removes the instance's volumes.
func (d *Driver) RemoveVolumes(_ context.Context, id spec.ID) error {
	return d.change("remove_volumes", id, func(w *File) error {
		for _, name := range []string{id.DoorVolume(), id.CAVolume()} {
			if v, ok := w.Volumes[name]; ok {
				if _, _, ours := spec.ParseIdentity(d.o.Owner, name, v.Labels); !ours {
					return notOurs("volume", name)
				}
				delete(w.Volumes, name)
			}
		}
		return nil
	})
}

// Exec echoes the command, the terminal it was given and its input: there is no
// machine to run it on, and so no session that lives. Only copies are carried
// out, where a directory stands for the bottle's files.
func (d *Driver) Exec(_ context.Context, id spec.ID, r backends.ExecRequest) (code int, err error) {
	err = d.view(func(w *File) error {
		c, err := d.ours(w, id, spec.RoleAgent)
		if err != nil {
			return err
		}
		if !c.Running {
			return fmt.Errorf("bottle %s is stopped", id)
		}
		if len(r.Argv) > 2 && r.Argv[1] == "door" {
			if root := w.root(c); root != "" {
				code, err = carry(root, r)
			}
			return err
		}
		if r.Session != "" && slices.Contains(c.Attached, r.Session) {
			return backends.ErrSessionBusy
		}
		_, err = fmt.Fprintf(r.Stdout, "%q\n", r.Argv)
		if t := r.Terminal; t != nil {
			_, err = fmt.Fprintf(r.Stdout, "session %q on %s, %d rows, %d columns\r\n", r.Session, t.Type, t.Size.Rows, t.Size.Cols)
			return err
		}
		if r.Stdin != nil {
			_, err = io.Copy(r.Stdout, r.Stdin)
		}
		return err
	})
	return code, err
}

// Logs writes the sidecar's state line.
func (d *Driver) Logs(_ context.Context, id spec.ID, r backends.LogRequest, out io.Writer) error {
	return d.view(func(w *File) error {
		c, err := d.ours(w, id, spec.RoleSidecar)
		if err != nil || !r.Sidecar {
			return err
		}
		return json.NewEncoder(out).Encode(c.State)
	})
}

// Control answers get.
func (d *Driver) Control(_ context.Context, id spec.ID, command string) ([]byte, error) {
	var reply []byte
	err := d.view(func(w *File) error {
		c, err := d.ours(w, id, spec.RoleSidecar)
		if err != nil {
			return err
		}
		if command != "get" {
			return fmt.Errorf("unknown command %q", command)
		}
		reply, err = json.Marshal(egress.Reply{OK: true, Document: c.Document})
		return err
	})
	return reply, err
}
