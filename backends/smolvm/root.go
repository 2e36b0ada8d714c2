package smolvm

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// Steps as the machine's root. Each names its program by its path: the image's
// PATH may lead through directories of the agent. None reads or writes where
// the agent may, once something of the agent's has run.

// rootStep is one of them.
type rootStep struct {
	argv  []string
	stdin io.Reader
	limit time.Duration
	// reads keeps the output up to so many bytes; more is an error.
	reads int
	out   *cli.Result
}

// unpackAsRoot replaces what is in the way by what is in the archive.
var unpackAsRoot = []string{"/bin/tar", "-x", "-p", "--numeric-owner", "--overwrite", "-C", "/", "-f", "-"}

func (d *Driver) asRoot(ctx context.Context, id spec.ID, what string, x rootStep) error {
	c, err := d.client(ctx)
	if err != nil {
		return err
	}
	r, err := c.Run(ctx, cli.Step{
		Machine: id.Name(), Argv: x.argv, Stdin: x.stdin, Limit: x.limit, MaxOutput: x.reads,
		Idempotent: x.stdin == nil,
	})
	if err != nil {
		return err
	}
	if x.out != nil {
		*x.out = r
		return nil
	}
	if r.Code != 0 {
		return diag.Errorf("%s: exit code %d: %s", what, r.Code, lastLines(string(r.Stderr)+string(r.Stdout), 3))
	}
	return nil
}

// placeAsRoot extracts an archive at the machine's root.
func (d *Driver) placeAsRoot(ctx context.Context, id spec.ID, a *guest.Archive) error {
	packed, err := a.Finish()
	if err != nil {
		return err
	}
	return d.asRoot(ctx, id, "place files in "+id.Name(), rootStep{argv: unpackAsRoot, stdin: packed})
}

// maxRead bounds a file that is read out of a machine.
const maxRead = 8 << 20

const readScript = `test -e "$1" || exit 44; exec /bin/cat -- "$1"`

// readFile reads a file of root's; fs.ErrNotExist where there is none.
func (d *Driver) readFile(ctx context.Context, id spec.ID, path string) ([]byte, error) {
	var r cli.Result
	err := d.asRoot(ctx, id, "read "+path, rootStep{argv: []string{"/bin/sh", "-c", readScript, "sh", path}, reads: maxRead, out: &r})
	switch {
	case err != nil:
		return nil, err
	case r.Code == 44:
		return nil, fs.ErrNotExist
	case r.Code != 0:
		return nil, diag.Errorf("read %s of %s: %s", path, id.Name(), lastLines(string(r.Stderr), 1))
	}
	return r.Stdout, nil
}

// checkImage: bb must be root in the machine, and the agent somebody else.
func (d *Driver) checkImage(ctx context.Context, s *spec.Spec, label string) error {
	var who cli.Result
	if err := d.asRoot(ctx, s.ID, "look who is who", rootStep{argv: []string{"/usr/bin/id", "-u"}, out: &who}); err != nil {
		return err
	}
	if uid := strings.TrimSpace(string(who.Stdout)); who.Code != 0 || uid != "0" {
		return diag.Errorf("image %s begins as user %q, and bb must be root to prepare a machine", label, guest.Printable(uid)).
			WithHint("make it without USER: bb runs the agent as %s anyway", spec.User)
	}
	passwd, err := d.readFile(ctx, s.ID, "/etc/passwd")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !hasUser(string(passwd)) {
		return diag.Errorf("image %s has no user %q with uid %d", label, spec.User, spec.UID).
			WithHint("add 'RUN useradd -m -u %d %s' to its Dockerfile", spec.UID, spec.User)
	}
	return nil
}

func hasUser(passwd string) bool {
	return slices.ContainsFunc(strings.Split(passwd, "\n"), func(line string) bool {
		f := strings.Split(line, ":")
		return len(f) >= 3 && f[0] == spec.User && f[2] == strconv.Itoa(spec.UID)
	})
}
