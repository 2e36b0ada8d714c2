package docker

import (
	"os"
	"path/filepath"
	"slices"
)

// Sockets lists the absolute paths where an engine may listen on this machine,
// the one that bb uses among them: whoever reaches one has power over this
// machine. None of them needs to be there.
func Sockets(getenv func(string) string) []string {
	all := append([]string{
		"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
		filepath.Join(getenv("XDG_RUNTIME_DIR"), "podman", "podman.sock"),
	}, ownSockets(getenv)...)
	if a, err := locate("", getenv); err == nil && a.local() { // else it is for New to say
		all = append(all, a.target)
	}
	return slices.DeleteFunc(all, func(path string) bool { return !filepath.IsAbs(path) })
}

// ownSockets are of engines that a user has: in a session, or in a machine.
func ownSockets(getenv func(string) string) []string {
	home := getenv("HOME")
	return []string{
		filepath.Join(getenv("XDG_RUNTIME_DIR"), "docker.sock"),
		filepath.Join(home, ".docker", "run", "docker.sock"),
		filepath.Join(home, ".docker", "desktop", "docker.sock"),
		filepath.Join(home, ".colima", "default", "docker.sock"),
		filepath.Join(home, ".orbstack", "run", "docker.sock"),
	}
}

// otherSockets are those of a user's engines that are there: bb takes none of
// them unasked, but says so.
func otherSockets(getenv func(string) string) []string {
	return slices.DeleteFunc(ownSockets(getenv), func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || info.Mode()&os.ModeSocket == 0 || !filepath.IsAbs(path)
	})
}
