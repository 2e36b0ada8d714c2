package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

var agentUser = strconv.Itoa(spec.UID) + ":" + strconv.Itoa(spec.GID)

// runtimeVar selects another runtime where the engine has it.
const runtimeVar = "BB_RUNTIME"

// CreateAgent creates the agent without starting it.
func (d *Driver) CreateAgent(ctx context.Context, s *spec.Spec) error {
	name := s.ID.Name()
	b, err := d.binaryID()
	if err != nil {
		return err
	}
	var image resolved
	var door, ready bool
	if err := d.together(
		func() (err error) { image, err = d.resolve(ctx, s); return err },
		func() (err error) { door, err = d.findVolume(ctx, s.ID, spec.RoleDoor); return err },
		func() (err error) { ready, err = d.binaryReady(ctx, b); return err },
		func() (err error) { _, err = d.about(ctx); return err }, // asked once, and kept
	); err != nil {
		return err
	}
	if image.id == "" {
		return diag.Errorf("the image of %s is not on the engine", s.ID).WithHint("'bb apply' builds or pulls it first")
	}
	// A container would bring volumes into being that nobody labelled.
	if !door {
		return diag.Errorf("%s has no door", s.ID).WithHint("'bb apply' creates its sidecar first")
	}
	if !ready {
		return diag.Errorf("volume %s is not filled", binVolume(b)).WithHint("'bb apply' fills it first")
	}
	labels := d.identity(s.ID, spec.RoleAgent)
	labels[spec.LabelImage] = image.label
	labels[spec.LabelSpec] = s.Hash(d.opts.Key)
	labels[spec.LabelSpecJSON] = s.FixedJSON(d.opts.Key)
	labels[spec.LabelConfinement] = d.confinement()
	labels[spec.LabelSource] = s.Source.Label()
	labels[spec.LabelTranscript] = s.Program.Transcript
	if done, err := d.keepAgent(ctx, s, labels, image); err != nil || done {
		return err
	}
	host, err := d.agentHost(ctx, s, b)
	if err != nil {
		return err
	}
	made, err := d.engine.ContainerCreate(ctx, agentConfig(s, image.use, labels), host,
		&network.NetworkingConfig{}, nil, name)
	if err != nil {
		if errdefs.IsConflict(err) {
			return foreign("container", name)
		}
		return d.wrap(err, "create bottle %s", name)
	}
	if err := d.checkUser(ctx, made.ID, image); err != nil {
		_ = d.remove(context.WithoutCancel(ctx), made.ID, name)
		return err
	}
	return nil
}

// keepAgent reports whether the agent exists as it should be. One that never
// ran and differs is in the way; one that ran is somebody's work.
func (d *Driver) keepAgent(ctx context.Context, s *spec.Spec, labels map[string]string, image resolved) (bool, error) {
	old, err := d.find(ctx, s.ID, spec.RoleAgent)
	if err != nil || old == nil {
		return false, err
	}
	has := old.Config.Labels
	why := "exists with another specification"
	if has[spec.LabelSpec] == labels[spec.LabelSpec] && has[spec.LabelImage] == labels[spec.LabelImage] {
		seen, listed, err := d.look(ctx, old, image)
		if err != nil {
			return false, err
		}
		altered := seen.agent(s.ID, listed)
		if len(altered) == 0 {
			return true, nil
		}
		why = "was altered: " + strings.Join(altered, ", ")
	}
	if old.State.Status != container.StateCreated {
		return false, diag.Errorf("bottle %s %s", s.ID.Name(), why).WithHint("'bb apply' replaces it")
	}
	return false, d.remove(ctx, old.ID, s.ID.Name())
}

func agentConfig(s *spec.Spec, image string, labels map[string]string) *container.Config {
	return &container.Config{
		Image:       image,
		Entrypoint:  []string{spec.BinaryPath, "door", "init"},
		User:        agentUser,
		Env:         agentEnv(s),
		WorkingDir:  s.Fixed.Workspace.Workdir(),
		Hostname:    s.ID.Agent[:min(len(s.ID.Agent), 63)],
		Labels:      labels,
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}, // an image's own would be an exec every few seconds
	}
}

// agentEnv is everything but secrets: those never are in a container's
// configuration.
func agentEnv(s *spec.Spec) []string {
	env := []string{"HOME=" + spec.Home, "USER=" + spec.User}
	for _, e := range s.Fixed.Env {
		if e.Secret() {
			continue
		}
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, e.Name+"=") })
		env = append(env, e.Name+"="+e.Value)
	}
	return env
}

func (d *Driver) agentHost(ctx context.Context, s *spec.Spec, b binary) (*container.HostConfig, error) {
	facts, err := d.about(ctx)
	if err != nil {
		return nil, err
	}
	host := d.confinedAgent()
	host.Mounts = []mount.Mount{
		volumeMount(binVolume(b), agentBinDir),
		volumeMount(s.ID.DoorVolume(), agentDoorDir),
	}
	lent, err := d.mountWorkspace(s)
	if err != nil {
		return nil, err
	}
	host.Mounts = append(host.Mounts, lent...)
	for _, name := range []string{egress.ProxyHost, egress.GitHost, egress.SuperviseHost, s.ID.Agent} {
		host.ExtraHosts = append(host.ExtraHosts, name+":127.0.0.1")
	}
	r := s.Fixed.Resources
	host.Memory, host.MemorySwap = r.Memory, r.Memory
	if r.PIDs > 0 {
		host.PidsLimit = &r.PIDs
	}
	// An engine refuses more processors than it has.
	host.NanoCPUs = int64(min(r.CPUs, facts.cpus) * 1e9)
	want := os.Getenv(runtimeVar)
	if want != "" && !facts.runtimes[want] {
		return nil, diag.Errorf("%s asks for the runtime %s, which the engine does not have", runtimeVar, want).
			WithHint("unset it, or give the engine that runtime")
	}
	if want == "runsc" {
		host.Runtime = want
	}
	return host, nil
}

// confinedAgent is the confinement that every agent has, whatever its manifest
// says.
func (d *Driver) confinedAgent() *container.HostConfig {
	host := d.confined()
	host.NetworkMode = network.NetworkNone
	host.Tmpfs = map[string]string{"/run/bb": "uid=1000,gid=1000,mode=0700,noexec,nosuid,nodev,size=1m"}
	host.DNS = []string{egress.ResolverIP}
	host.Sysctls = map[string]string{
		"net.ipv4.ip_unprivileged_port_start": "0", // the door listens on 53, 80 and 443
	}
	host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	return host
}

// confinement identifies it: agents made under another are replaced, or a
// tightened profile would never reach those that run.
func (d *Driver) confinement() string {
	b, err := json.Marshal(d.confinedAgent())
	if err != nil {
		panic("docker: " + err.Error()) // only plain data reaches this
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// volumeMount is read-only, and takes nothing from the image: what is in it
// is bb's.
func volumeMount(name, target string) mount.Mount {
	return mount.Mount{
		Type: mount.TypeVolume, Source: name, Target: target, ReadOnly: true,
		VolumeOptions: &mount.VolumeOptions{NoCopy: true},
	}
}

// checkUser reads the image's list of users: the agent's must be there.
func (d *Driver) checkUser(ctx context.Context, id string, image resolved) error {
	if _, ok := d.checked.Load(image.id); ok {
		return nil
	}
	passwd, err := d.readFile(ctx, id, "/etc/passwd")
	if err != nil && !errdefs.IsNotFound(err) {
		return d.wrap(err, "users of image %s", image.label)
	}
	if !hasUser(string(passwd)) {
		return diag.Errorf("image %s has no user %q with uid %d", image.label, spec.User, spec.UID).
			WithHint("add 'RUN useradd -m -u %d %s' to its Dockerfile", spec.UID, spec.User)
	}
	d.checked.Store(image.id, true)
	return nil
}

func hasUser(passwd string) bool {
	for line := range strings.Lines(passwd) {
		f := strings.Split(line, ":")
		if len(f) >= 3 && f[0] == spec.User && f[2] == strconv.Itoa(spec.UID) {
			return true
		}
	}
	return false
}

// maxRead bounds a file that is read out of a container.
const maxRead = 8 << 20

// readFile reads one regular file of a container, running or not; links are
// followed by the engine, inside the container.
func (d *Driver) readFile(ctx context.Context, id, path string) ([]byte, error) {
	for range 8 {
		r, stat, err := d.engine.CopyFromContainer(ctx, id, path)
		if err != nil {
			return nil, err
		}
		if stat.LinkTarget != "" && stat.LinkTarget != path {
			r.Close()
			path = stat.LinkTarget
			continue
		}
		defer r.Close()
		bounded := io.LimitReader(r, maxRead+4096)
		content, err := untarOne(bounded)
		_, _ = io.Copy(io.Discard, bounded) // a body that was read whole leaves a connection for the next call
		return content, err
	}
	return nil, os.ErrInvalid
}
