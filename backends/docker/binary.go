package docker

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/bot-bottle/bb/engine/diag"
)

// binary is what is known of the bb that goes into bottles.
type binary struct {
	arch   string // as Go names it
	digest string // 12 hex digits
}

const staticHint = "build it with 'CGO_ENABLED=0 GOOS=linux go build ./cmd/bb' and pass it with --sidecar-binary"

var machines = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386",
	elf.EM_ARM: "arm", elf.EM_RISCV: "riscv64", elf.EM_S390: "s390x", elf.EM_PPC64: "ppc64le",
}

// readBinary judges the file: it must run in any image, so it may need no
// interpreter and no library of the image.
func readBinary(path string) (binary, error) {
	if path == "" {
		return binary{}, diag.Errorf("docker: no linux bb to put into bottles").WithHint(staticHint)
	}
	info, err := os.Stat(path)
	if err != nil {
		return binary{}, diag.Errorf("docker: %s", err).WithHint(staticHint)
	}
	f, err := elf.Open(path)
	if err != nil {
		return binary{}, diag.Errorf("docker: %s is no linux binary", path).WithHint(staticHint)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return binary{}, diag.Errorf("docker: %s is not static", path).WithHint(staticHint)
		}
	}
	arch := machines[f.Machine]
	if arch == "" {
		arch = f.Machine.String()
	}
	sum := sha256.New()
	if note := buildID(f); note != nil {
		// The size catches a binary that was stripped after it was linked.
		fmt.Fprintf(sum, "%s %d %x", arch, info.Size(), note)
	} else if err := hashFile(sum, path); err != nil {
		return binary{}, diag.Errorf("docker: %s", err)
	}
	return binary{arch: arch, digest: hex.EncodeToString(sum.Sum(nil))[:12]}, nil
}

// buildID is the note that Go's linker writes: it changes with the content,
// and reading it is cheaper than reading the file, for every plan.
func buildID(f *elf.File) []byte {
	s := f.Section(".note.go.buildid")
	if s == nil {
		return nil
	}
	note, err := s.Data()
	if err != nil || len(note) < 40 { // an empty id leaves the header only
		return nil
	}
	return note
}

func hashFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
