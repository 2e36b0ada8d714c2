package door

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/egress"
)

// User is who the programs of a bottle run as.
type User struct{ UID, GID int }

// Boot is Init for a machine that nobody has prepared: root calls it. It makes
// what an engine would (names, resolver, memory for secrets), listens, becomes
// the agent's user for good, and is the first process from then on. Beside a
// network it does none of this and idles: in the life in which a machine pulls
// its image, nobody reaches the sidecar through it.
func Boot(ctx context.Context, opts Options, as User, hosts []string) error {
	if err := interfaces(); err != nil {
		fmt.Fprintf(os.Stderr, "bb: %v: the door stays shut\n", err)
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		<-ctx.Done()
		return nil
	}
	if err := furnish(as, hosts); err != nil {
		return err
	}
	if err := own(ctx, cmp.Or(opts.Socket, DefaultSocket), as); err != nil {
		return err
	}
	ready := opts.Ready
	var failed error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opts.Ready = func() {
		if failed = become(as); failed != nil {
			cancel() // nothing serves as root
			return
		}
		if ready != nil {
			ready()
		}
	}
	return errors.Join(Init(ctx, opts), failed)
}

// furnish makes the files of a bottle that only root can.
func furnish(as User, names []string) error {
	hosts := "127.0.0.1 localhost\n::1 localhost\n"
	for _, name := range append([]string{egress.ProxyHost, egress.GitHost, egress.SuperviseHost}, names...) {
		hosts += "127.0.0.1 " + name + "\n"
	}
	for path, text := range map[string]string{"/etc/hosts": hosts, "/etc/resolv.conf": "nameserver " + egress.ResolverIP + "\n"} {
		if err := writeOver(path, text); err != nil {
			return err
		}
	}
	// As in a container, where bb itself needs it: a program of the agent may
	// listen on port 80. Where it cannot be set, such a program says why.
	_ = os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0\n"), 0)
	return memory(filepath.Dir(DefaultEnvFile), as)
}

// writeOver keeps the file, which may be mounted, and follows no link.
func writeOver(path, text string) error {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC | syscall.O_NOFOLLOW
	f, err := os.OpenFile(path, flags, 0o644)
	if errors.Is(err, syscall.ELOOP) {
		if err = os.Remove(path); err == nil {
			f, err = os.OpenFile(path, flags, 0o644)
		}
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

// memory makes a directory of the agent that is on no disk, or fails.
func memory(dir string, as User) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	options := fmt.Sprintf("uid=%d,gid=%d,mode=0700,size=1m", as.UID, as.GID)
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		var at unix.Statfs_t
		if unix.Statfs(dir, &at) != nil || at.Type != unix.TMPFS_MAGIC {
			return fmt.Errorf("%s is on a disk, and nothing else can be mounted there: %w", dir, err)
		}
		return errors.Join(os.Chown(dir, as.UID, as.GID), os.Chmod(dir, 0o700))
	}
	return nil
}

// socketPatience is what a machine gets to put the socket where it belongs,
// which it may do after its first process has begun.
const socketPatience = 20 * time.Second

// own gives the socket, which root made, to the agent.
func own(ctx context.Context, socket string, as User) error {
	for end := time.Now().Add(socketPatience); ; pause(ctx, 10*time.Millisecond) {
		err := os.Lchown(socket, as.UID, as.GID)
		if err == nil {
			return os.Chmod(socket, 0o600)
		}
		if !errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("the door: %w", err)
		}
	}
}

// become gives up root, on every thread.
func become(as User) error {
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(as.GID), syscall.Setuid(as.UID)); err != nil {
		return err
	}
	if os.Getuid() != as.UID || os.Geteuid() != as.UID || syscall.Setuid(0) == nil {
		return errors.New("root was not given up")
	}
	return nil
}

// Alone fails where something but the door leads out: an interface beside
// loopback, a route, or an address outside that does not at once say that
// there is none. hostPort is a port that the host listens on at its loopback
// right now; 0 is none.
func Alone(hostPort int) error {
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return err
	}
	if lines := strings.Split(strings.TrimSpace(string(routes)), "\n"); len(lines) > 1 {
		return errors.New("there is a route out")
	}
	six, err := os.ReadFile("/proc/net/ipv6_route")
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without that family
		return err
	}
	for line := range strings.Lines(string(six)) {
		if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] != "lo" {
			return errors.New("there is an IPv6 route out")
		}
	}
	if err := interfaces(); err != nil {
		return err // and nothing is sent
	}
	return unreachable(hostPort)
}
