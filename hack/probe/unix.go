//go:build linux

package main

import (
	"bufio"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// knownSockets are tried even where a directory cannot be listed.
var knownSockets = []string{
	"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
	"/run/podman/podman.sock", "/run/crio/crio.sock", "/run/dbus/system_bus_socket",
}

// unixSockets connects to every socket in the file system. The one door is
// there by design: of it, only services that no bottle has are a way out.
func unixSockets() {
	for _, path := range knownSockets {
		tryUnix(path)
	}
	err := filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // what cannot be listed cannot be used
		case path == "/proc" || path == "/sys":
			return fs.SkipDir
		case d.Type()&fs.ModeSocket == 0:
			return nil
		case strings.HasSuffix(path, "/door.sock"):
			for _, service := range []string{"ctl", "control", "get", "supervise", "apply", "log", "agent", ""} {
				tryDoor(path, service)
			}
		default:
			tryUnix(path)
		}
		return nil
	})
	if err != nil {
		report(result{Attempt: "unix", Detail: err.Error()})
	}
}

func tryUnix(path string) {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	refused("unix", path, err)
}

// tryDoor asks the sidecar for a service that only its owner may have.
func tryDoor(path, service string) {
	attempt := "door " + service
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		refused(attempt, path, err)
		return
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err == nil {
		_, err = io.WriteString(c, "bb1 "+service+"\nget\n")
		if err == nil {
			line, _ := bufio.NewReader(c).ReadString('\n')
			report(result{Attempt: attempt, Target: path, Out: line != "", Detail: line})
			return
		}
	}
	refused(attempt, path, err)
}
