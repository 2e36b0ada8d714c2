package smolvm

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/diag"
)

// binary is what is known of the bb that is lent to machines.
type binary struct {
	path   string
	digest string // 12 hex digits
}

const staticHint = "build it with 'CGO_ENABLED=0 GOOS=linux go build ./cmd/bb' and pass it with --sidecar-binary"

// readBinary judges the file: it must run in any image, on this machine's
// processors.
func readBinary(path string) (binary, error) {
	if path == "" {
		return binary{}, diag.Errorf("smolvm: no linux bb to put into bottles").WithHint(staticHint)
	}
	f, err := os.Open(path)
	if err != nil {
		return binary{}, diag.Errorf("smolvm: %s", err).WithHint(staticHint)
	}
	defer f.Close()
	e, err := elf.NewFile(f)
	if err != nil {
		return binary{}, diag.Errorf("smolvm: %s is no linux binary", path).WithHint(staticHint)
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			return binary{}, diag.Errorf("smolvm: %s is not static", path).WithHint(staticHint)
		}
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]; e.Machine != want {
		return binary{}, diag.Errorf("smolvm: %s is for %s, this machine is %s", path, e.Machine, runtime.GOARCH).
			WithHint("pass a bb for linux/%s with --sidecar-binary", runtime.GOARCH)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return binary{}, diag.Errorf("smolvm: %s", err)
	}
	return binary{path, hex.EncodeToString(sum.Sum(nil))[:12]}, nil
}

const binPrefix = "bin-"

// binDir is the directory that is lent to machines. Nothing else is ever in it.
func (d *Driver) binDir(digest string) string { return d.path(binPrefix + digest) }

// Prepare puts bb where machines can be lent it.
func (d *Driver) Prepare(context.Context, *backends.BuildProxy) error {
	b, err := d.binary()
	if err != nil {
		return err
	}
	to := filepath.Join(d.binDir(b.digest), "bb")
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	if err := os.MkdirAll(d.opts.Dir, 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(d.binDir(b.digest), 0o755); err != nil {
		return err
	}
	from, err := os.Open(b.path)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.CreateTemp(d.opts.Dir, ".bb-*") // not where machines see it half
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Chmod(0o755), f.Close()); err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// prepared reports whether Prepare has nothing to do.
func (d *Driver) prepared() bool {
	b, err := d.binary()
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(d.binDir(b.digest), "bb"))
	return err == nil
}
