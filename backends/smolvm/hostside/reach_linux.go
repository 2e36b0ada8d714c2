package hostside

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Reach lists the sockets of this machine by which a sidecar that was taken over
// could have others do for this user, or for root, what it may not: those of
// engines and of the user's own session. None where the kernel keeps it from them.
func Reach() []string {
	if landlockVersion() >= socketsVersion {
		return nil
	}
	return reach(os.Getenv)
}

func reach(getenv func(string) string) []string {
	paths := []string{"/var/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock"}
	if named, ok := strings.CutPrefix(getenv("DOCKER_HOST"), "unix://"); ok {
		paths = append(paths, named)
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		for _, name := range []string{"docker.sock", "podman/podman.sock", "bus", "systemd/private"} {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	if dir := getenv("HOME"); dir != "" {
		paths = append(paths, filepath.Join(dir, ".docker/run/docker.sock"), filepath.Join(dir, ".docker/desktop/docker.sock"))
	}
	var found []string
	var seen []os.FileInfo
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Type() != os.ModeSocket || unix.Access(path, unix.W_OK) != nil {
			continue
		}
		if !slices.ContainsFunc(seen, func(x os.FileInfo) bool { return os.SameFile(x, info) }) {
			found, seen = append(found, path), append(seen, info)
		}
	}
	return found
}
