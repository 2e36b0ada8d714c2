// Package gittest gives tests real upstreams of the git gate: an sshd, and git's
// own backend behind TLS. Every key is made when a test runs.
package gittest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// SSH is a real sshd with repositories below Root. Every key is a private one
// in OpenSSH's form.
type SSH struct {
	Root string // repositories, see Repo
	Host string // address that it listens on
	Port int
	User string
	// HostKey and WrongHostKey are "TYPE BASE64": the server's, and another.
	HostKey, WrongHostKey string
	// Key may read and write, ReadOnlyKey read. HangKey is let in and hears
	// nothing more. StrangerKey is let in nowhere.
	Key, ReadOnlyKey, HangKey, StrangerKey string
	// RudeKey is let in and gets what a hostile server says: the file Rude is a
	// script of sh that is run instead of git.
	RudeKey, Rude string
	Log           string // what sshd said, a file
	dir           string
}

// Options are of both servers.
type Options struct {
	Listen string // address, else 127.0.0.1
	// Config are further lines of sshd's configuration, "Name=value".
	Config []string
}

// NewSSH starts an sshd that ends with the test. Where there is none it installs
// one, or fails; outside CI it skips the test instead.
func NewSSH(t testing.TB, o Options) *SSH {
	t.Helper()
	install(t)
	me, err := user.Current()
	check(t, err)
	if me.Uid == "0" { // where sshd confines itself
		check(t, os.MkdirAll("/run/sshd", 0o755))
	}
	dir := t.TempDir()
	s := &SSH{
		Root: filepath.Join(dir, "r"), Host: o.Listen, User: me.Username,
		Log: filepath.Join(dir, "log"), Rude: filepath.Join(dir, "rude"), dir: dir,
	}
	if s.Host == "" {
		s.Host = "127.0.0.1"
	}
	check(t, os.Mkdir(s.Root, 0o755))
	host, public := NewKey(t)
	_, s.WrongHostKey = NewKey(t)
	s.HostKey = public
	write(t, filepath.Join(dir, "host"), host, 0o600)
	s.authorize(t)
	s.serve(t, o.Config)
	return s
}

// NewKey makes a private key in OpenSSH's form and its "TYPE BASE64".
func NewKey(t testing.TB) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	check(t, err)
	p, err := ssh.NewPublicKey(pub)
	check(t, err)
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(p)))
}

// wrapper is what each key runs: it notes the command, and whether the client
// handed an agent on.
const wrapper = `#!/bin/sh
printf '%%s agent=%%s protocol=%%s %%s\n' "$1" "${SSH_AUTH_SOCK:-none}" "${GIT_PROTOCOL:-none}" "$SSH_ORIGINAL_COMMAND" >>%[1]q
case "$1" in
hang) exec sleep 600 ;;
rude) exec sh %[2]q ;;
esac
case "$1:$SSH_ORIGINAL_COMMAND" in
full:git-receive-pack*|*:git-upload-pack*) eval "exec git ${SSH_ORIGINAL_COMMAND#git-}" ;;
esac
echo 'ERROR: The key you are authenticating with has been marked as read only.' >&2
exit 1
`

func (s *SSH) authorize(t testing.TB) {
	t.Helper()
	script := filepath.Join(s.dir, "wrapper")
	write(t, script, fmt.Sprintf(wrapper, filepath.Join(s.dir, "commands"), s.Rude), 0o755)
	var lines strings.Builder
	for name, key := range map[string]*string{
		"full": &s.Key, "read": &s.ReadOnlyKey, "hang": &s.HangKey, "rude": &s.RudeKey,
	} {
		var public string
		*key, public = NewKey(t)
		fmt.Fprintf(&lines, "command=\"%s %s\",agent-forwarding %s\n", script, name, public)
	}
	s.StrangerKey, _ = NewKey(t)
	write(t, filepath.Join(s.dir, "authorized_keys"), lines.String(), 0o600)
}

func (s *SSH) serve(t testing.TB, config []string) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(s.Host, "0"))
	check(t, err)
	s.Port = l.Addr().(*net.TCPAddr).Port
	args := []string{"-i", "-e", "-f", "/dev/null"}
	for _, o := range append([]string{
		"HostKey=" + filepath.Join(s.dir, "host"),
		"AuthorizedKeysFile=" + filepath.Join(s.dir, "authorized_keys"), "PidFile=none", "UsePAM=no", "StrictModes=no",
		"PasswordAuthentication=no", "KbdInteractiveAuthentication=no", "PermitRootLogin=yes",
		"AllowAgentForwarding=yes", "AcceptEnv=GIT_PROTOCOL",
	}, config...) {
		args = append(args, "-o", o)
	}
	log, err := os.Create(s.Log)
	check(t, err)
	var sessions sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		sessions.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(s.Log)
			t.Logf("sshd said:\n%s", text)
		}
	})
	ctx := t.Context() // ends before the cleanups
	sessions.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { session(ctx, c.(*net.TCPConn), log, args) })
		}
	})
}

// session has an sshd of its own serve a connection: the port is held here, so
// that no other test's server can take it.
func session(ctx context.Context, c *net.TCPConn, log *os.File, args []string) {
	f, err := c.File()
	_ = c.Close()
	if err != nil {
		return
	}
	defer f.Close()
	sshd := exec.CommandContext(ctx, sshdPath, args...)
	sshd.Stdin, sshd.Stdout, sshd.Stderr = f, f, log
	_ = sshd.Run()
}

// Address is HOST:PORT.
func (s *SSH) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// URL is the address of a repository of that name.
func (s *SSH) URL(name string) string {
	return fmt.Sprintf("ssh://%s@%s%s/%s.git", s.User, s.Address(), s.Root, name)
}

// Commands are what clients ran, one a line: "KEY agent=SOCKET|none
// protocol=WANTED|none COMMAND", where KEY is full, read, hang or rude.
func (s *SSH) Commands() []string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "commands"))
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// Silent is a server on addr ("" is 127.0.0.1) that accepts connections and
// says nothing; it returns HOST:PORT.
func Silent(t testing.TB, addr string) string {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	check(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return l.Addr().String()
}

const sshdPath = "/usr/sbin/sshd"

// install makes sure that sshd, ssh and git are there.
func install(t testing.TB) {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	out, err := exec.Command(filepath.Join(filepath.Dir(file), "../../../hack/sshd")).CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("CI") == "":
		t.Skipf("no sshd: %s", out)
	default:
		t.Fatalf("hack/sshd: %v\n%s", err, out)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	check(t, os.WriteFile(path, []byte(text), mode))
}
