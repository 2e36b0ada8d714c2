package fakesmol

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func create(s *state, p *parsed) error {
	r := &record{Name: p.one("name"), State: "created", CPUs: 4, Memory: 8192, Labels: map[string]string{}, CreatedAt: time.Now().Unix()}
	if !p.has("name") {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		r.Name = "vm-" + hex.EncodeToString(b[:])
	}
	if why := badName(r.Name); why != "" {
		return fail("config operation failed: create machine: %s", why)
	}
	if err := resources(r, p); err != nil {
		return err
	}
	for _, l := range p.values["label"] {
		key, value, ok := strings.Cut(l, "=")
		if !ok {
			return fail("config operation failed: --label: expected KEY=VALUE, got '%s'", l)
		}
		if key == "" {
			return fail("config operation failed: --label: label key cannot be empty (in '%s')", l)
		}
		r.Labels[key] = value
	}
	if err := mounts(r, p); err != nil {
		return err
	}
	for _, e := range p.values["env"] {
		if !strings.Contains(e, "=") {
			v, ok := os.LookupEnv(e)
			if !ok {
				continue
			}
			e += "=" + v
		}
		r.Env = append(r.Env, e)
	}
	r.Network, r.Workdir, r.Command = p.has("net"), p.one("workdir"), p.rest
	r.Device = r.Network && p.one("net-backend") == "virtio-net"
	if err := s.image(r, p); err != nil {
		return err
	}
	err := s.locked(func() error {
		old, err := s.load(r.Name)
		if err == nil && old != nil {
			err = fail("config operation failed: create machine: machine '%s' already exists or is being created", r.Name)
		}
		if err != nil {
			return err
		}
		if err := os.MkdirAll(s.home(r.Name), 0o700); err != nil {
			return err
		}
		return s.store(r)
	})
	if err != nil {
		return err
	}
	fmt.Printf("Created machine: %s\n  CPUs: %d, Memory: %d MiB\n", r.Name, r.CPUs, r.Memory)
	if len(r.Volumes) > 0 {
		fmt.Printf("  Mounts: %d\n", len(r.Volumes))
	}
	fmt.Printf("\nUse 'smolvm machine start --name %[1]s' to start the machine\nThen use 'smolvm machine exec --name %[1]s -- <command>' to run commands\n", r.Name)
	return nil
}

var wellFormed = regexp.MustCompile(`[^A-Za-z0-9_-]`)

func badName(name string) string {
	alnum := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
	switch {
	case name == "":
		return "machine name cannot be empty"
	case len(name) > 128:
		return fmt.Sprintf("machine name too long: %d characters (max 128)", len(name))
	case !alnum(name[0]):
		return fmt.Sprintf("machine name must start with a letter or digit (got: %q)", name)
	case wellFormed.MatchString(name):
		return fmt.Sprintf("machine name contains invalid character: '%s'", wellFormed.FindString(name))
	case strings.HasSuffix(name, "-"):
		return fmt.Sprintf("machine name cannot end with a hyphen (got: %q)", name)
	case strings.Contains(name, "--"):
		return "machine name cannot contain consecutive hyphens"
	}
	return ""
}

func resources(r *record, p *parsed) error {
	var storage, overlay int
	for _, n := range []struct {
		flag, value string
		to          *int
	}{{"cpus", "N", &r.CPUs}, {"mem", "MiB", &r.Memory}, {"storage", "GiB", &storage}, {"overlay", "GiB", &overlay}} {
		if !p.has(n.flag) {
			continue
		}
		v, err := strconv.ParseUint(p.one(n.flag), 10, 31)
		if err != nil {
			return usage{fmt.Sprintf("invalid value '%s' for '--%s <%s>': invalid digit found in string", p.one(n.flag), n.flag, n.value), commands["create"].line("create")}
		}
		*n.to = int(v)
	}
	if p.has("storage") {
		r.Storage = &storage
	}
	if p.has("overlay") {
		r.Overlay = &overlay
	}
	if r.CPUs < 1 {
		return fail("config operation failed: validate resources: CPU count must be at least 1")
	}
	if r.Memory < 64 {
		return fail("config operation failed: validate resources: memory must be at least 64 MiB (got %d MiB)", r.Memory)
	}
	return nil
}

// systemDirs may not be lent to a machine; the root and /var not whole.
var systemDirs = []string{"/var/run", "/var/log", "/etc", "/boot", "/usr", "/bin", "/sbin", "/lib", "/proc", "/sys", "/dev", "/run"}

func mounts(r *record, p *parsed) error {
	taken := map[string]bool{}
	for _, m := range p.values["mount-socket"] {
		host, guest, ok := strings.Cut(m, ":")
		switch {
		case !ok:
			return fail("config operation failed: mount-socket: expected HOST_PATH:GUEST_PATH, got '%s'", m)
		case !strings.HasPrefix(guest, "/") || strings.ContainsAny(guest, ";|"):
			return fail("config operation failed: publish-socket: guest path '%s' must be absolute", guest)
		case taken[guest]:
			return fail("config operation failed: mount-socket: guest path '%s' is mounted more than once", guest)
		}
		taken[guest] = true
		r.Sockets = append(r.Sockets, mount{Host: host, Guest: guest})
	}
	if len(r.Sockets) > 64 {
		return fail("config operation failed: publish-socket: at most 64 sockets")
	}
	for _, v := range p.values["volume"] {
		parts := strings.Split(v, ":")
		if len(parts) < 2 || len(parts) > 3 || !strings.HasPrefix(parts[1], "/") {
			return fail("invalid mount path: %s", v)
		}
		host, err := filepath.EvalSymlinks(parts[0])
		if err != nil {
			return fail("mount source not found: %s", parts[0])
		}
		if info, err := os.Stat(host); err != nil || !info.IsDir() {
			return fail("invalid mount path: %s is not a directory", host)
		}
		for _, d := range systemDirs {
			if host == "/" || host == "/var" || host == d || strings.HasPrefix(host, d+"/") {
				return fail("invalid mount path: %s is a system directory", host)
			}
		}
		if taken[parts[1]] {
			return fail("invalid mount path: duplicate target %s", parts[1])
		}
		taken[parts[1]] = true
		r.Volumes = append(r.Volumes, mount{host, parts[1], len(parts) == 3 && parts[2] == "ro"})
	}
	return nil
}
