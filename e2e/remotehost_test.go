package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authority is a directory of certificates, in the layout of DOCKER_CERT_PATH:
// ca.pem, server/ and client/; none/ holds ca.pem alone.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("", &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "ca"},
	})
	a.issue("server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	a.issue("client", &x509.Certificate{
		Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	a.write("none/ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) issue(dir string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	if dir == "" {
		a.write("ca.pem", "CERTIFICATE", der)
		return made, key
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(dir+"/ca.pem", "CERTIFICATE", a.cert.Raw)
	a.write(dir+"/cert.pem", "CERTIFICATE", der)
	a.write(dir+"/key.pem", "EC PRIVATE KEY", private)
	return made, key
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.MkdirAll(filepath.Dir(a.file(name)), 0o700); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// socketHere is the socket of the machine's own engine.
func socketHere(t *testing.T) string {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		return "unix:///var/run/docker.sock"
	}
	if !strings.HasPrefix(host, "unix://") {
		if os.Getenv("CI") == "" {
			t.Skip("the engine of these tests is elsewhere")
		}
		t.Fatalf("these tests need an engine on this machine, DOCKER_HOST is %s", host)
	}
	return host
}

// sshServer is a real sshd on loopback, and an ssh command that knows it. ssh
// finds its configuration by the user database, so that the command is a
// script that names another one.
type sshServer struct {
	dir, user, hostKey string
	port               int
	socket             string // the engine's, unless it is docker's default
}

func newSSH(t *testing.T, options ...string) *sshServer {
	t.Helper()
	if out, err := exec.Command("../hack/sshd").CombinedOutput(); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("no sshd: %s", out)
		}
		t.Fatalf("hack/sshd: %v\n%s", err, out)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" { // where sshd confines itself
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &sshServer{dir: t.TempDir(), user: me.Username}
	if host := strings.TrimPrefix(socketHere(t), "unix://"); host != "/var/run/docker.sock" {
		s.socket = host
	}
	for _, name := range []string{"host", "me"} {
		if _, err := command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", s.file(name)); err != nil {
			t.Fatal(err)
		}
	}
	public := func(name string) string {
		b, err := os.ReadFile(s.file(name + ".pub"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	s.hostKey = public("host")
	s.write(t, "authorized_keys", public("me"), 0o600)
	s.write(t, "bin/ssh", fmt.Sprintf("#!/bin/sh\necho $$ >>%q\nexec /usr/bin/ssh -F %q \"$@\"\n", s.file("pids"), s.file("config")), 0o755)
	s.write(t, "config", fmt.Sprintf("IdentityFile %s\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile %s\n"+
		"GlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\n", s.file("me"), s.file("known")), 0o600)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	s.trust(t, s.hostKey)
	args := []string{"-D", "-e", "-f", "/dev/null"}
	for _, o := range append([]string{
		"ListenAddress=127.0.0.1", "Port=" + strconv.Itoa(s.port), "HostKey=" + s.file("host"),
		"AuthorizedKeysFile=" + s.file("authorized_keys"), "PidFile=none", "UsePAM=no", "StrictModes=no",
		"PasswordAuthentication=no", "KbdInteractiveAuthentication=no", "PermitRootLogin=yes",
	}, options...) {
		args = append(args, "-o", o)
	}
	sshd := exec.Command("/usr/sbin/sshd", args...)
	log, err := os.Create(s.file("log"))
	if err != nil {
		t.Fatal(err)
	}
	sshd.Stderr = log
	if err := sshd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sshd.Process.Kill() //nolint:errcheck // it runs
		sshd.Wait()         //nolint:errcheck // it was killed
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(s.file("log"))
			t.Logf("sshd said:\n%s", text)
		}
	})
	eventually(t, "sshd listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return s
}

// trust makes key the only one that is known of the server; "" is none.
func (s *sshServer) trust(t *testing.T, key string) {
	t.Helper()
	if key != "" {
		key = fmt.Sprintf("[127.0.0.1]:%d %s", s.port, key)
	}
	s.write(t, "known", key, 0o600)
}

func (s *sshServer) file(name string) string { return filepath.Join(s.dir, name) }

func (s *sshServer) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.file(name)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.file(name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (s *sshServer) url() string {
	return fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", s.user, s.port, s.socket)
}

func (s *sshServer) env(url string) []string {
	return []string{"DOCKER_HOST=" + url, "PATH=" + s.file("bin") + ":" + os.Getenv("PATH")}
}

func (s *sshServer) pids() []string {
	b, _ := os.ReadFile(s.file("pids")) // nobody ran it yet
	return strings.Fields(string(b))
}

// runs counts how often ssh was run.
func (s *sshServer) runs() int { return len(s.pids()) }

func (s *sshServer) sleeps(t *testing.T, agent, seconds string) bool {
	t.Helper()
	return strings.Contains(docker(t, "top", containerOf(t, agent, false)), "sleep "+seconds)
}

// living are the processes of ssh that were run here and have not ended. A
// number alone may by now be another's.
func (s *sshServer) living(t *testing.T) (pids []int) {
	t.Helper()
	for _, text := range s.pids() {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		line, err := os.ReadFile("/proc/" + text + "/cmdline")
		if err == nil && strings.Contains(string(line), s.dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cut ends every connection as a network does: without a word.
func (s *sshServer) cut(t *testing.T) {
	t.Helper()
	for _, pid := range s.living(t) {
		syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it may have ended this moment
	}
}

// allGone waits until no ssh that was run lives.
func (s *sshServer) allGone(t *testing.T) {
	t.Helper()
	eventually(t, "every ssh has ended", func() bool { return len(s.living(t)) == 0 })
}
