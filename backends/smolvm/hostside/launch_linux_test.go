package hostside

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// started is a sidecar that a test started by itself, as any user.
type started struct {
	*exec.Cmd
	key      string
	document string // one that fits it
}

// launch starts a program as the sidecar of a directory, as bb does it. That of
// bb has said its first word then.
func launch(t *testing.T, program string, h home, as *syscall.SysProcAttr) *started {
	t.Helper()
	for _, dir := range []string{string(h), h.own(), filepath.Dir(h.door())} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Base(string(h))
	s := &started{key: egress.NewControlKey(), document: fmt.Sprintf(`{"bb":1,"instance":%q,`+
		`"routes":[{"host":"api.example.com","port":443,"auth":{"scheme":"Bearer","slot":"EGRESS_TOKEN_0"}}],`+
		`"tokens":{"EGRESS_TOKEN_0":{"value":"secret-of-this-bottle","digest":"d0"}}}`, name)}
	if err := replace(h.file(keyFile), []byte(s.key)); err != nil {
		t.Fatal(err)
	}
	own(t, string(h), as.Credential.Uid)
	said := &bytes.Buffer{}
	s.Cmd = exec.Command(program, "sidecar", "host")
	s.Dir, s.Env, s.Stdin, s.Stderr = h.own(), []string{"BB_INSTANCE=" + name, "HOME=/nonexistent"}, strings.NewReader(s.key), said
	s.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: as.Credential}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if program != bb {
		t.Cleanup(func() { t.Log(said) })
		return s
	}
	ended := make(chan struct{})
	go func() { _ = s.Wait(); close(ended) }()
	t.Cleanup(func() { _ = s.Process.Kill(); <-ended })
	for end := time.Now().Add(firstWord); lastLine(h) == nil; time.Sleep(5 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("the sidecar ended: %s", said)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("the sidecar says nothing")
		}
	}
	return s
}

// told is what a sidecar answers to bb.
func told(t *testing.T, h home, as *syscall.SysProcAttr, verb, document string) string {
	t.Helper()
	cmd := exec.Command(bb, "sidecar", "ctl", "--control", h.control(), "--key", h.file(keyFile), verb)
	cmd.Env, cmd.SysProcAttr, cmd.Stdin = []string{"HOME=/nonexistent"}, as, strings.NewReader(document)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", verb, err, out)
	}
	return string(out)
}

// own gives a tree to a user.
func own(t *testing.T, base string, uid uint32) {
	t.Helper()
	if err := filepath.WalkDir(base, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, int(uid), int(uid))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
