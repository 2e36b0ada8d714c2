package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/risky"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress/door/tree"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

type cpCmd struct {
	Skip bool   `help:"Leave out and list what cannot be copied, instead of failing."`
	Src  string `arg:"" help:"AGENT:PATH, a path on this machine, or - for a tar stream on standard input."`
	Dst  string `arg:"" help:"The other side; - is a tar stream on standard output."`
}

// Help is shown by bb cp --help.
func (*cpCmd) Help() string {
	return `Exactly one side is AGENT:PATH, with the bottle as bb ps names it; a PATH
that does not begin with / or ~/ starts in the agent's workspace. A path of this
machine that looks the same begins with ./

Out of a bottle that is stopped its backend copies, where it can (not smolvm).

It goes as with cp -r: into a directory that exists, under its own name; else
under the name given, whose directory must exist. DIR/. means the content of DIR.

Links are carried as links; out of a bottle none that leads out of the tree.
Devices, sockets, pipes and hard links of files outside the tree are refused
with a list. Copies belong to whoever copies; special bits are dropped.
The stream that - gives is the bottle's own: look before you unpack it.`
}

// guestPath is AGENT:PATH.
var guestPath = regexp.MustCompile(`^((?:home/)?[a-z][a-z0-9-]*(?:_[a-z0-9]+)?):(.*)$`)

// Run copies in one of both directions.
func (c *cpCmd) Run(ctx context.Context, a *app) error {
	from, to := guestPath.FindStringSubmatch(c.Src), guestPath.FindStringSubmatch(c.Dst)
	if (from == nil) == (to == nil) {
		return exitError{exitUsage, "one side is AGENT:PATH and the other a path of this machine (bb cp dev:notes.md . or bb cp notes.md dev:)"}
	}
	side := from
	if side == nil {
		side = to
	}
	p, o, err := a.instance(ctx, side[1])
	if err != nil {
		return err
	}
	ctx, release := a.untilSignal(ctx)
	defer release()
	j := &copying{app: a, driver: p.drivers[o.Backend], id: o.ID, guest: side[2], shown: side[0], skip: c.Skip}
	if j.guest == "" {
		j.guest = "."
	}
	if err := j.still(p.seenAs(o.ID, o.Backend), from != nil); err != nil {
		return err
	}
	j.progress = newCopied(a.stderr)
	defer j.progress.end()
	switch {
	case from != nil && c.Dst == "-":
		return j.outStream(ctx)
	case from != nil:
		return j.out(ctx, c.Dst)
	case c.Src == "-":
		return j.inStream(ctx)
	}
	return j.in(ctx, c.Src)
}

// copying is one copy between this machine and a bottle. The stream passes
// through bb's own binary in the bottle, run as the agent's user: the engine is
// not asked to copy. What comes out is nonetheless the agent's word.
type copying struct {
	app      *app
	driver   backends.Driver
	id       spec.ID
	guest    string // path in the bottle
	shown    string // AGENT:PATH
	skip     bool
	progress *copied
	// archive reads a bottle in which nothing runs, whose paths begin at workdir.
	archive backends.Archiver
	workdir string
}

// argv is a command of bb in the bottle.
func (j *copying) argv(command string, options ...string) []string {
	argv := append([]string{spec.BinaryPath, "door", command}, options...)
	if j.skip {
		argv = append(argv, "--skip")
	}
	return append(argv, "--", j.guest)
}

// out writes what the bottle sends to a place of this machine.
func (j *copying) out(ctx context.Context, dst string) error {
	base := ""
	if !tree.Merges(j.guest) && strings.Trim(j.guest, "/~") != "" {
		base = filepath.Base(j.guest)
	}
	root, o, err := tree.To(dst, base)
	if err != nil {
		return diag.Errorf("%v", err).WithHint("the directory that a copy goes to must exist")
	}
	defer root.Close()
	top := o.As
	if abs, err := filepath.Abs(dst); err == nil && top == "." {
		top = filepath.Base(abs)
	}
	found := &risky.List{}
	o.Skip, o.Bytes = j.skip, j.progress.add
	o.On = func(name string) { found.Add(filepath.Join(top, name)) }

	stream, wait := j.read(ctx)
	r, err := tree.Unpack(stream, root, o)
	_ = stream.CloseWithError(io.ErrClosedPipe) // ends what still sends
	if err = wait(ctx, err); err != nil {
		return j.explain(err)
	}
	j.progress.end()
	leftOut(j.app.stderr, &r.Refused, nil)
	j.app.carried(r)
	j.app.warnRisky(found)
	return nil
}

// outStream hands the bottle's own archive on.
func (j *copying) outStream(ctx context.Context) error {
	if isTerminal(j.app.stdout) {
		return diag.Errorf("a tar stream is not for a terminal").WithHint("send it to a file or a pipe")
	}
	stream, wait := j.read(ctx)
	_, err := io.Copy(j.app.stdout, j.progress.reader(stream))
	_ = stream.CloseWithError(io.ErrClosedPipe)
	return wait(ctx, err)
}

// in sends a file or directory of this machine.
func (j *copying) in(ctx context.Context, src string) error {
	root, name, base, err := tree.From(src)
	if err != nil {
		return err
	}
	defer root.Close()
	var r tree.Report
	pack := func(w io.Writer) (err error) {
		r, err = tree.Pack(root, name, w, tree.Options{As: base, Bottle: true, Skip: j.skip, Bytes: j.progress.add})
		return err
	}
	argv := j.argv("unpack")
	if !tree.Merges(src) {
		argv = j.argv("unpack", "--base="+base)
	}
	if err := j.write(ctx, argv, pack); err != nil {
		return j.explain(err)
	}
	j.progress.end()
	leftOut(j.app.stderr, &r.Refused, nil)
	j.app.carried(r)
	return nil
}

// inStream hands an archive of the user's on.
func (j *copying) inStream(ctx context.Context) error {
	if isTerminal(j.app.stdin) {
		return diag.Errorf("a tar stream does not come from a terminal").WithHint("tar c DIR | bb cp - %s", j.shown)
	}
	return j.write(ctx, j.argv("unpack", "--any"), func(w io.Writer) error {
		_, err := io.Copy(w, j.progress.reader(j.app.stdin))
		return err
	})
}

// carried says what was copied, on stderr.
func (a *app) carried(r tree.Report) {
	fmt.Fprintf(a.stderr, "copied %s, %s\n", count(r.Files, "file"), view.Size(r.Bytes))
}
