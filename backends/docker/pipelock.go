package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/egress/pipelock"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/host"
	"github.com/bot-bottle/bb/engine/spec"
)

// Where pipelock is in a sidecar that has it, and where it keeps its
// configuration and its key: in memory.
const (
	pipelockPath = "/usr/local/bin/pipelock"
	pipelockDir  = "/run/bb/pipelock"
)

const pipelockHint = "install version 2 from its releases page, or name it with BB_PIPELOCK"

var _ backends.Preflighter = (*Driver)(nil)

// program is the pipelock that goes into sidecars: what was read is what is
// judged, named by the image's tag, and sent to the engine.
type program struct {
	path    string
	arch    string // as Go names it
	digest  string // sha256 in hex
	version string // "" where this machine cannot run it
	content []byte
}

// findPipelock reads and judges the program that name stands for, "" for that
// of PATH.
func findPipelock(name string) (program, error) {
	path, err := host.Program([]string{cmp.Or(name, "pipelock")})
	switch {
	case err != nil && name == "":
		return program{}, diag.Errorf("pipelock is not on PATH").WithHint(pipelockHint)
	case err != nil:
		var why diag.Diagnostic
		if errors.As(err, &why) {
			err = errors.New(why.Message)
		}
		return program{}, diag.Errorf("BB_PIPELOCK: %v", err).WithHint("name the file of a linux pipelock, version 2")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return program{}, diag.Errorf("pipelock: %s: %v", path, diag.Cause(err)).WithHint(pipelockHint)
	}
	sum := sha256.Sum256(content)
	p := program{path: path, digest: hex.EncodeToString(sum[:]), content: content}
	if p.arch, err = linuxProgram(content); err != nil {
		return program{}, diag.Errorf("pipelock: %s %v", path, err).
			WithHint("sidecars run linux: name a linux pipelock, version 2, with BB_PIPELOCK")
	}
	if runtime.GOOS == "linux" && p.arch == runtime.GOARCH {
		if p.version, err = askVersion(path); err != nil {
			return program{}, diag.Errorf("pipelock: %s: %v", path, err).WithHint(pipelockHint)
		}
	}
	return p, nil
}

// linuxProgram is the architecture of a program that needs nothing of the image
// it will run in.
func linuxProgram(content []byte) (arch string, err error) {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return "", errors.New("is no linux program")
	}
	defer f.Close()
	if f.OSABI != elf.ELFOSABI_NONE && f.OSABI != elf.ELFOSABI_LINUX || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return "", errors.New("is no linux program")
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return "", errors.New("is not static")
	}
	return cmp.Or(machines[f.Machine], f.Machine.String()), nil
}

// askVersion runs the program, which the user named, as the user. The sidecar
// asks again.
func askVersion(path string) (string, error) {
	out, err := host.Command(context.Background(), []string{path, "--version"})
	if err != nil {
		var why diag.Diagnostic
		if errors.As(err, &why) {
			return "", errors.New("--version: " + why.Message)
		}
		return "", err
	}
	version, err := pipelock.ParseVersion(out)
	if err != nil {
		return "", err
	}
	return version, pipelock.Supported(version)
}

// Preflight says why s cannot have its pipelock, or nil.
func (d *Driver) Preflight(ctx context.Context, s *spec.Spec) error {
	if s.Fixed.Resources.Disk > 0 {
		return diag.Errorf("%s: resources.disk: docker cannot bound what a bottle writes", s.ID).
			WithHint("take it out, or use backend: smolvm")
	}
	if !s.Gate.Pipelock {
		return nil
	}
	p, err := d.pipelock()
	if err != nil {
		return err
	}
	v, err := d.engine.ServerVersion(ctx)
	if err != nil {
		return d.noEngine(err)
	}
	return p.fits(v.Arch)
}

func (p program) fits(arch string) error {
	if p.arch == arch {
		return nil
	}
	return diag.Errorf("pipelock: %s is for %s, the engine runs %s", p.path, p.arch, arch).
		WithHint("name a pipelock for linux/%s with BB_PIPELOCK", arch)
}

// pipelockRecipe is the sidecar's with the program in it: the builder has its
// other layers already.
func pipelockRecipe() string {
	const last = "USER "
	i := strings.LastIndex(sidecarRecipe, last)
	return sidecarRecipe[:i] + "COPY pipelock " + pipelockPath + "\n" + sidecarRecipe[i:]
}

// pipelockImage is what is known of the image of sidecars with pipelock; its
// label is "" while it cannot be known.
func (d *Driver) pipelockImage(ctx context.Context) (resolved, error) {
	p, err := d.pipelock()
	if err != nil || d.opts.Binary == "" {
		return resolved{}, nil // Preflight says why, for those that want it
	}
	b, err := d.binaryID()
	if err != nil {
		return resolved{}, err
	}
	base, err := d.imageID(ctx, d.opts.BaseImage)
	if err != nil || base == "" {
		return resolved{}, err
	}
	tag := sidecarRepository + ":" + digest12(pipelockRecipe(), base, b.digest, p.digest)
	id, tagged, err := d.builtID(ctx, tag)
	return resolved{label: tag, use: tag, id: id, tagged: tagged, job: d.pipelockJob(tag, p)}, err
}

func (d *Driver) pipelockJob(tag string, p program) buildJob {
	return buildJob{
		tag: tag, dockerfile: pipelockRecipe(), base: d.opts.BaseImage,
		files: func(t *tar.Writer) error {
			f, err := os.Open(d.opts.Binary)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := addFile(t, "bb", 0o755, f); err != nil {
				return err
			}
			return addBytes(t, "pipelock", 0o755, p.content)
		},
	}
}

// gateImage is the image of the sidecar of s. That with pipelock is built here:
// few bottles want it, and what all share is there already.
func (d *Driver) gateImage(ctx context.Context, s *spec.Spec) (resolved, error) {
	if !s.Gate.Pipelock {
		return d.resolveSidecar(ctx)
	}
	if err := d.Preflight(ctx, s); err != nil {
		return resolved{}, err
	}
	r, err := d.pipelockImage(ctx)
	if err != nil || r.label == "" {
		return r, err
	}
	// No way out is needed: no parent proxy goes with pipelock.
	if err := d.ensureBuilt(ctx, r, nil); err != nil {
		return resolved{}, err
	}
	return d.pipelockImage(ctx)
}

// examinePipelock is doctor's line. It is nobody's fault not to have it.
func (d *Driver) examinePipelock(arch string) backends.Finding {
	const check = "pipelock"
	f := backends.Finding{Check: check, Status: backends.StatusOK}
	p, err := d.pipelock()
	if err == nil {
		err = p.fits(arch)
	}
	switch {
	case err != nil && d.opts.Pipelock == "" && p.path == "":
		f.Message = failure(check, err).Message + "; only bottles with egress.pipelock need it"
		f.Hint = failure(check, err).Hint
	case err != nil:
		f = failure(check, err)
		f.Status = backends.StatusWarn
	case p.version == "":
		f.Message = p.path + " is for linux/" + p.arch + "; its version shows in the sidecar"
	default:
		f.Message = "version " + p.version + " at " + p.path + ", for linux/" + p.arch
	}
	f.Message = guest.Printable(f.Message)
	return f
}

// pipelockOnce finds the program when it is first asked for.
func pipelockOnce(name string) func() (program, error) {
	return sync.OnceValues(func() (program, error) { return findPipelock(name) })
}
