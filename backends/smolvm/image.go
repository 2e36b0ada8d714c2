package smolvm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// Images is an engine that builds and pulls agent images.
type Images interface {
	// ResolveImage says what the image of s is called in labels, "" while that is not
	// known, and its id, "" while the engine does not have it.
	ResolveImage(ctx context.Context, s *spec.Spec) (label, id string, err error)
	EnsureImage(ctx context.Context, s *spec.Spec, via *backends.BuildProxy) error
	// SaveImage writes an image as `docker save` does.
	SaveImage(ctx context.Context, id string, w io.Writer) error
	// Check fails soon where no engine answers.
	Check(ctx context.Context) error
}

// image is what a machine is made of.
type image struct {
	label string // what the label bb.image says; "" means unknown
	use   cli.Image
	// from is a file or a root directory to make use.Archive of; "" with an
	// engine's id.
	from, id string
	present  bool
}

func (i image) state() plan.ImageState { return plan.ImageState{Ref: i.label, Present: i.present} }

// resolve computes what the machine of s is made of, and makes nothing.
func (d *Driver) resolve(ctx context.Context, s *spec.Spec) (image, error) {
	if filepath.IsAbs(s.Image.Ref) {
		return d.resolveFile(s.Image.Ref)
	}
	if d.opts.Images == nil || d.opts.Images.Check(ctx) != nil {
		if s.Image.Ref == "" {
			return image{}, noEngine(s)
		}
		c, err := d.client(ctx)
		if err != nil {
			return image{}, err
		}
		if err := c.CanPull(); err != nil {
			return image{}, err
		}
		// smolvm pulls it itself, when the machine is started first. What the
		// name stands for then is not known here.
		return image{label: s.Image.Ref, use: cli.Image{Ref: s.Image.Ref}, present: true}, nil
	}
	label, id, err := d.opts.Images.ResolveImage(ctx, s)
	if err != nil || id == "" {
		return image{label: cmp.Or(label, s.Image.Ref)}, err
	}
	i := image{label: label, id: id}
	i.use.Archive = d.archive(strings.TrimPrefix(id, "sha256:"))
	_, err = os.Stat(i.use.Archive)
	i.present = err == nil
	return i, nil
}

// engineID is what an engine adds to a reference in a label.
var engineID = regexp.MustCompile(`@[0-9a-f]{12}$`)

// sameAsKnown reports whether nothing tells the image of a machine from the one
// that is wanted: only an engine knows what a reference stands for, and it may
// have gone since, or come.
func sameAsKnown(have, want string) bool {
	reference, with := engineID.ReplaceAllString(have, ""), engineID.MatchString(have)
	return !filepath.IsAbs(have) && with != engineID.MatchString(want) && reference == engineID.ReplaceAllString(want, "")
}

// noEngine: what is built is built by an engine.
func noEngine(s *spec.Spec) error {
	return diag.Errorf("the image of %s needs a docker engine, and none answers", s.ID).
		WithHint("start one ('bb doctor' says more), or let agent_provider.image name a registry's image, an archive of 'docker save', a directory or a .smolmachine")
}

// resolveFile knows a file by where it is, its size and its time, and a directory
// by those of all that is below it.
func (d *Driver) resolveFile(path string) (image, error) {
	info, err := os.Stat(path)
	if err != nil {
		return image{}, diag.Errorf("image %s: %v", path, diag.Cause(err)).
			WithHint("agent_provider.image names a file or a directory of this machine")
	}
	var sum string
	switch {
	case info.IsDir():
		content, err := rootDigest(path)
		if err != nil {
			return image{}, err
		}
		sum = digest(path, content)
	case info.Mode().IsRegular():
		sum = digest(path, fmt.Sprint(info.Size()), info.ModTime().String())
	default:
		return image{}, diag.Errorf("image %s is no file and no directory", path)
	}
	i := image{label: path + "@" + sum[:12]}
	if strings.HasSuffix(path, ".smolmachine") && !info.IsDir() {
		i.use.Pack, i.present = path, true
		return i, nil
	}
	i.from, i.use.Archive = path, d.archive("file-"+sum)
	_, err = os.Stat(i.use.Archive)
	i.present = err == nil
	return i, nil
}

const (
	archiveSuffix = ".tar"
	// exportPrefix begins the names of archives that are being written. What
	// follows is the key of the archive, whose lock the writer has.
	exportPrefix = ".export-"
)

func (d *Driver) archive(key string) string { return d.path("images", key+archiveSuffix) }

// key names the archive that a machine is made of; noArchive without one.
func (i image) key() string {
	if i.use.Archive == "" {
		return noArchive
	}
	return strings.TrimSuffix(filepath.Base(i.use.Archive), archiveSuffix)
}

const noArchive = "none"

// EnsureImage builds, pulls or copies the image, unless it is there. Bottles
// and processes that share one share the work.
func (d *Driver) EnsureImage(ctx context.Context, s *spec.Spec, via *backends.BuildProxy) error {
	if !filepath.IsAbs(s.Image.Ref) {
		if d.opts.Images == nil || d.opts.Images.Check(ctx) != nil {
			_, err := d.resolve(ctx, s)
			return err
		}
		if err := d.opts.Images.EnsureImage(ctx, s, via); err != nil {
			return err
		}
	}
	i, err := d.resolve(ctx, s)
	if err != nil || i.present {
		return err
	}
	if i.id == "" && i.from == "" {
		return diag.Errorf("the image of %s is not there after it was made", s.ID)
	}
	to := i.use.Archive
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	unlock, err := lockFile(ctx, to+lockSuffix)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	logf(d.opts.Log, "%s: exporting image %s for smolvm", s.ID, i.label)
	return d.export(ctx, i)
}

// export writes the archive, which appears whole or not at all. The caller has
// its lock.
func (d *Driver) export(ctx context.Context, i image) error {
	f, err := os.OpenFile(d.path("images", exportPrefix+i.key()), os.O_RDWR|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(d.source(ctx, i, w)) }()
	err = asRoot(f, r)
	_ = r.CloseWithError(io.ErrClosedPipe)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), i.use.Archive)
	}
	if err != nil {
		return errors.Join(diag.Errorf("export image %s: %v", i.label, err), os.Remove(f.Name()))
	}
	return nil
}

func (d *Driver) source(ctx context.Context, i image, w io.Writer) error {
	if i.from == "" {
		return d.opts.Images.SaveImage(ctx, i.id, w)
	}
	f, err := os.Open(i.from)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return cmp.Or(err, d.saveDirectory(i, w))
	}
	r, err := plainTar(f)
	if err == nil {
		_, err = io.Copy(w, r)
	}
	return err
}

// saveDirectory fails where the directory is not the one of the plan any more.
func (d *Driver) saveDirectory(i image, w io.Writer) error {
	if err := saveRoot(i.from, d.path("images", exportPrefix+i.key()+".layer"), w); err != nil {
		return err
	}
	now, err := d.resolveFile(i.from)
	if err == nil && now.label != i.label {
		err = fmt.Errorf("%s changed while it was read", i.from)
	}
	return err
}

func digest(parts ...string) string {
	sum := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(sum, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
