package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
)

// Image is what a machine is made of: exactly one field, or none for smolvm's
// own small system.
type Image struct {
	Archive string // docker or podman save format, absolute path
	Dir     string // an unpacked root, absolute path
	Pack    string // a .smolmachine, absolute path
	Ref     string // a registry reference, which smolvm pulls at the first start
}

// Mount lends a directory or a socket of this machine to a machine.
type Mount struct {
	Host, Guest string
	ReadOnly    bool // directories only
}

// Spec is a machine to create. It has no network, unless it is to pull its
// image: no other flag that implies one is ever passed.
type Spec struct {
	Name   string
	Labels map[string]string
	Image  Image
	// Pull gives the machine a network to pull Image.Ref at its first start. That
	// is all it is for: after it, Held.CloseNetwork.
	Pull    bool
	CPUs    int   // 0 means smolvm's default, 4
	Memory  int64 // MiB; 0 means smolvm's default, 8192
	Storage int   // GiB; 0 means smolvm's default, 20
	Overlay int   // GiB; 0 means smolvm's default, 10
	Sockets []Mount
	Volumes []Mount
	Workdir string
	// Command is the workload, begun at every start; nil means the image's own.
	Command []string
}

// A single argument of a program ends at 128 KiB on Linux.
const maxArg = 128<<10 - 1

const maxSockets = 64

func (s Spec) args() ([]string, error) {
	if err := CheckName(s.Name); err != nil {
		return nil, err
	}
	args := machineArgs("create", s.Name)
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		if key == "" || strings.ContainsAny(key, "=\x00") {
			return nil, diag.Errorf("smolvm takes no label of the name %q", key)
		}
		args = append(args, "--label="+key+"="+s.Labels[key])
	}
	image, err := s.Image.args()
	if err != nil {
		return nil, err
	}
	args = append(args, image...)
	if s.Pull && s.Image.Ref == "" {
		return nil, errors.New("a machine has a network to pull its image, or none")
	}
	if s.Pull {
		args = append(args, "--net", "--net-backend=virtio-net")
	}
	for _, n := range []struct {
		flag  string
		value int64
	}{{"--cpus", int64(s.CPUs)}, {"--mem", s.Memory}, {"--storage", int64(s.Storage)}, {"--overlay", int64(s.Overlay)}} {
		if n.value < 0 {
			return nil, diag.Errorf("smolvm takes no %s of %d", strings.TrimPrefix(n.flag, "--"), n.value)
		}
		if n.value > 0 {
			args = append(args, n.flag+"="+strconv.FormatInt(n.value, 10))
		}
	}
	if s.Memory > 0 && s.Memory < 64 {
		return nil, diag.Errorf("a machine of smolvm has at least 64 MiB of memory, not %d", s.Memory).
			WithHint("raise resources.memory")
	}
	mounts, err := s.mountArgs()
	if err != nil {
		return nil, err
	}
	args = append(args, mounts...)
	if s.Workdir != "" {
		if err := checkGuestPath(s.Workdir); err != nil {
			return nil, err
		}
		args = append(args, "--workdir="+s.Workdir)
	}
	if len(s.Command) > 0 {
		args = append(append(args, "--"), s.Command...)
	}
	return args, checkArgs(args)
}

func (s Spec) mountArgs() ([]string, error) {
	if len(s.Sockets) > maxSockets {
		return nil, diag.Errorf("smolvm mounts at most %d sockets into a machine, not %d", maxSockets, len(s.Sockets))
	}
	var args []string
	taken := map[string]bool{}
	for i, m := range slices.Concat(s.Sockets, s.Volumes) {
		if err := first(checkHostPath(m.Host), checkGuestPath(m.Guest)); err != nil {
			return nil, err
		}
		if taken[m.Guest] {
			return nil, diag.Errorf("two mounts of machine %s have the path %s", s.Name, m.Guest)
		}
		taken[m.Guest] = true
		switch value := m.Host + ":" + m.Guest; {
		case i < len(s.Sockets):
			args = append(args, "--mount-socket="+value)
		case m.ReadOnly:
			args = append(args, "--volume="+value+":ro")
		default:
			args = append(args, "--volume="+value)
		}
	}
	return args, nil
}

func (i Image) args() ([]string, error) {
	var args []string
	for _, p := range []struct{ flag, path string }{{"--image", i.Archive}, {"--image", i.Dir}, {"--from", i.Pack}} {
		if p.path == "" {
			continue
		}
		if err := checkHostPath(p.path); err != nil {
			return nil, err
		}
		args = append(args, p.flag+"="+p.path)
	}
	if i.Pack != "" && !strings.HasSuffix(i.Pack, ".smolmachine") {
		return nil, diag.Errorf("%s is no .smolmachine", i.Pack)
	}
	if i.Ref != "" {
		if looksLocal(i.Ref) {
			return nil, diag.Errorf("smolvm would take the image %q for a file", clip(i.Ref, 200)).
				WithHint("name a registry reference such as docker.io/library/debian:bookworm-slim, or an absolute path")
		}
		args = append(args, "--image="+i.Ref)
	}
	if len(args) > 1 {
		return nil, fmt.Errorf("a machine is made of one image, not of %s", strings.Join(args, " and "))
	}
	return args, nil
}

// looksLocal is smolvm's rule for what is a file and what a reference.
func looksLocal(ref string) bool {
	for _, prefix := range []string{"/", "./", "../", "-"} {
		if strings.HasPrefix(ref, prefix) {
			return true
		}
	}
	for _, suffix := range []string{".tar", ".tar.gz", ".tgz"} {
		if strings.HasSuffix(ref, suffix) {
			return true
		}
	}
	return strings.ContainsAny(ref, " \t\n\r\x00")
}

func checkArgs(args []string) error {
	for _, a := range args {
		if len(a) > maxArg {
			return diag.Errorf("an argument for smolvm is %d KiB long, and the system takes 128: %s", len(a)>>10, clip(a, 40)).
				WithHint("shorten the manifest: its labels carry it")
		}
		if strings.ContainsRune(a, 0) {
			return diag.Errorf("an argument for smolvm holds a NUL: %q", clip(a, 40))
		}
	}
	return nil
}
