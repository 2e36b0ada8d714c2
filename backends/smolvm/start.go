package smolvm

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/egress/door"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

const lockPause = 50 * time.Millisecond

func sleep(ctx context.Context, t time.Duration) error {
	select {
	case <-time.After(t):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// StartAgent boots the machine, looks from inside that nothing but the door
// leads out, and places what belongs in it. What goes wrong on the way stops
// the machine again. One that is up already is left alone.
func (d *Driver) StartAgent(ctx context.Context, s *spec.Spec) error {
	return d.withMachine(ctx, s.ID, func(c *cli.Client, h *cli.Held) error {
		m, err := d.find(ctx, s.ID)
		if err != nil {
			return err
		}
		if m == nil {
			return diag.Errorf("bottle %s does not exist", s.ID.Name()).WithHint("'bb apply' creates it")
		}
		if d.ready(*m) {
			return nil
		}
		if !m.State.Known() || m.State == cli.Frozen {
			return diag.Errorf("machine %s is %s, which bb knows nothing about", m.Name, m.State).
				WithHint("'bb destroy %s' removes it", s.ID)
		}
		if err := d.configured(ctx, s.ID); err != nil {
			return err
		}
		if err := d.unmark(m.Name); err != nil {
			return err
		}
		if m.State == cli.Running { // by whom, nobody knows
			if err := h.Stop(ctx); err != nil {
				return err
			}
		}
		if err := d.pull(ctx, h, *m); err != nil {
			return err
		}
		err = h.Start(ctx, m.State == cli.Created)
		if err == nil {
			err = d.finish(ctx, c, s, m.Labels[spec.LabelImage])
		}
		if err != nil {
			after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			return errors.Join(err, h.Stop(after))
		}
		return nil
	})
}

// pull lets a machine that never ran fetch its image, in a life in which
// nothing but bb's first process runs, which serves nothing beside a network, and
// nothing secret enters it; and then takes the network from it. One that bb did not get that far with is removed:
// a machine with a network never becomes a bottle.
func (d *Driver) pull(ctx context.Context, h *cli.Held, m cli.Machine) error {
	if m.Network == nil || !*m.Network {
		return nil
	}
	if m.State != cli.Created || m.Labels[labelPull] == "" {
		return diag.Errorf("machine %s has a network, and no bottle has one", m.Name).WithHint("'bb apply' replaces it")
	}
	logf(d.opts.Log, "%s: smolvm pulls %s", m.Name, m.Labels[spec.LabelImage])
	err := h.Pull(ctx)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err = errors.Join(err, h.Stop(after)); err == nil {
		err = h.CloseNetwork(ctx)
	}
	if err != nil {
		return errors.Join(err, h.Delete(after))
	}
	return nil
}

// finish makes a bottle of a machine that has just come up.
func (d *Driver) finish(ctx context.Context, c *cli.Client, s *spec.Spec, image string) error {
	if err := d.checkImage(ctx, s, image); err != nil {
		return err
	}
	if err := d.probe(ctx, s); err != nil {
		return err
	}
	all, err := d.placedIn(ctx, s.ID)
	if err != nil {
		return err
	}
	if all == nil {
		err = d.furnish(ctx, s)
	} else {
		err = d.refurnish(ctx, s, all)
	}
	if err != nil {
		return err
	}
	m, err := c.Status(ctx, s.ID.Name())
	if err != nil {
		return err
	}
	return d.markReady(m)
}

// bootPatience is what the first process gets to listen: machines that begin at
// once on a busy host take their time.
const bootPatience = 30 * time.Second

// probe asks from inside: the door leads to the sidecar, and nothing else leads
// anywhere. Nothing of the agent's runs yet that could answer instead.
func (d *Driver) probe(ctx context.Context, s *spec.Spec) error {
	var err error
	for end := time.Now().Add(bootPatience); ; {
		var r result
		r, err = d.step(ctx, s, command{argv: []string{spec.BinaryPath, "door", "probe"}})
		if err == nil && r.code == 0 {
			break
		}
		if err == nil {
			err = diag.Errorf("the door of %s does not answer: %s", s.ID.Name(), lastLines(r.stderr, 1)).
				WithHint("the console of its machine may say more: 'bb logs %s'", s.ID)
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	// A machine that shares this one's loopback would reach these.
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	if six, err := net.Listen("tcp6", net.JoinHostPort("::1", port)); err == nil { // where there is IPv6
		defer six.Close()
	}
	r, err := d.step(ctx, s, command{argv: []string{spec.BinaryPath, "door", "alone", "--host-port", port}})
	if err != nil {
		return err
	}
	if r.code != 0 {
		return diag.Errorf("%s has a way out beside its door: %s", s.ID.Name(), lastLines(r.stderr, 3)).
			WithHint("it was stopped; somebody changed the machine, or this smolvm gives machines a network that nobody asked for")
	}
	return nil
}

// furnish fills a machine in which nothing of the agent's ever ran. What is
// placed is on record last: whatever stops this before, it begins anew.
func (d *Driver) furnish(ctx context.Context, s *spec.Spec) error {
	if err := d.fillWorkspace(ctx, s); err != nil {
		return err
	}
	files := slices.Clone(s.Files)
	if s.Fixed.Workspace.Mode != spec.WorkspaceMount || s.Fixed.Workspace.GuestPath != spec.Workdir {
		files = append([]spec.File{{Path: spec.Workdir, Dir: true, Mode: 0o755}}, files...)
	}
	trust, err := d.trust(ctx, s)
	if err != nil {
		return err
	}
	a := guest.NewArchive()
	if err := a.Add(append(append(files, trust...), d.fixedEnv(s)...)...); err != nil {
		return err
	}
	if err := d.placeAsRoot(ctx, s.ID, a); err != nil {
		return err
	}
	return d.keepRecord(ctx, s, guest.Placing(s))
}

// refurnish gives a machine that starts again what it was given. What is to
// change is not this call's business.
func (d *Driver) refurnish(ctx context.Context, s *spec.Spec, have map[string]guest.Placed) error {
	trust, err := d.trust(ctx, s)
	if err != nil {
		return err
	}
	a := guest.NewArchive()
	if err := a.Add(append(trust, d.fixedEnv(s)...)...); err != nil {
		return err
	}
	if err := d.placeAsRoot(ctx, s.ID, a); err != nil {
		return err
	}
	want := guest.Placing(s)
	var files []spec.File
	if dir := s.Fixed.Workspace.Workdir(); s.Fixed.Workspace.Mode != spec.WorkspaceMount && strings.HasPrefix(dir, spec.Home+"/") {
		files = append(files, spec.File{Path: dir, Dir: true, Mode: 0o755})
	}
	for _, f := range s.Files {
		if f.Part != "" && have[f.Part].Digest == want[f.Part].Digest {
			files = append(files, f)
		}
	}
	return d.placeInside(ctx, s, files)
}

// fixedEnv is all of the environment that is no secret. It goes by a file:
// smolvm would keep it in its own data, and argument lists are for everybody.
func (d *Driver) fixedEnv(s *spec.Spec) []spec.File {
	env := []string{"HOME=" + spec.Home, "USER=" + spec.User}
	for _, e := range s.Fixed.Env {
		if !e.Secret() {
			env = door.SetEnv(env, e.Name, e.Value)
		}
	}
	return []spec.File{
		guest.RecordDir,
		{Path: door.FixedEnvFile, Mode: 0o644, Content: []byte(strings.Join(env, "\x00")), Root: true},
	}
}
