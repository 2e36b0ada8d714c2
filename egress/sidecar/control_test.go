package sidecar

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

func TestControlCommands(t *testing.T) {
	r := start(t, nil)
	if got, err := r.ctl(t, CommandGet, nil); err != nil || got.Document != nil {
		t.Errorf("get before the first document: %+v, %v", got, err)
	}
	if got, err := r.ctl(t, CommandApply, document(nil)); err != nil || !got.OK {
		t.Errorf("apply: %+v, %v", got, err)
	}
	got, err := r.ctl(t, CommandGet, nil)
	if err != nil || got.Document == nil || got.Document.Routes[0].Host != "api.example.org" {
		t.Errorf("get: %+v, %v", got, err)
	}
	got, err = r.ctl(t, CommandCA, nil)
	if err != nil || string(got.Data) != `"the certificate\n"` {
		t.Errorf("ca: %s, %v", got.Data, err)
	}
}

func TestControlRefuses(t *testing.T) {
	r := start(t, nil)
	got, err := r.ctl(t, CommandApply, []byte("{"))
	if err == nil || got.OK || !strings.Contains(err.Error(), "not one JSON value") {
		t.Errorf("bad document: %+v, %v", got, err)
	}
	for _, line := range []string{"bb1 stop\n", "bb1 apply", "apply\n", strings.Repeat("x", 100) + "\n"} {
		conn := dialUnix(t, r.opts.ControlSocket)
		_, _ = io.WriteString(conn, line)
		_ = conn.CloseWrite()
		data, _ := io.ReadAll(conn)
		var reply egress.Reply
		if err := json.Unmarshal(data, &reply); err != nil || reply.OK || reply.Error == "" {
			t.Errorf("%q: %q, %v", line, data, err)
		}
	}
	if err := Ctl(t.Context(), Control{Socket: r.opts.ControlSocket}, "stop", nil, io.Discard); err == nil {
		t.Error("ctl sends a command that does not exist")
	}
	if err := Ctl(t.Context(), Control{Socket: "/nowhere/c.sock"}, CommandGet, nil, io.Discard); err == nil {
		t.Error("ctl without a sidecar succeeds")
	}
}

func TestSocketsAndTheirModes(t *testing.T) {
	r := start(t, nil)
	for path, want := range map[string]os.FileMode{
		r.opts.DoorSocket:                  os.ModeSocket | 0o666,
		filepath.Dir(r.opts.DoorSocket):    os.ModeDir | 0o755,
		r.opts.ControlSocket:               os.ModeSocket | 0o600,
		filepath.Dir(r.opts.ControlSocket): os.ModeDir | 0o700,
	} {
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

func TestListenReplacesOnlyDeadSockets(t *testing.T) {
	path := sockets(t).DoorSocket
	first, err := listen(path, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listen(path, 0o666); err == nil || !strings.Contains(err.Error(), "another sidecar") {
		t.Errorf("took a live socket: %v", err)
	}
	first.SetUnlinkOnClose(false) // as after SIGKILL
	_ = first.Close()
	second, err := listen(path, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(path, 0o666); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("replaced a file: %v", err)
	}
}

func TestControlMustLieApart(t *testing.T) {
	for name, opts := range map[string]Options{
		"same directory": {DoorSocket: "/bb/door/d", ControlSocket: "/bb/door/c", CADir: "/ca"},
		"below":          {DoorSocket: "/bb/door/d", ControlSocket: "/bb/door/x/c", CADir: "/ca"},
		"by dots":        {DoorSocket: "/bb/door/d", ControlSocket: "/run/../bb/door/c", CADir: "/ca"},
		"ca":             {DoorSocket: "/bb/door/d", ControlSocket: "/run/c", CADir: "/bb/door/ca"},
		"ca itself":      {DoorSocket: "/bb/door/d", ControlSocket: "/run/c", CADir: "/bb/door"},
		"no door":        {ControlSocket: "/run/c", CADir: "/ca"},
		"no control":     {DoorSocket: "/bb/door/d", CADir: "/ca"},
		"no ca":          {DoorSocket: "/bb/door/d", ControlSocket: "/run/c"},
	} {
		if err := apart(opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := apart(Options{DoorSocket: "/bb/door/d", ControlSocket: "/run/c", CADir: "/ca"}); err != nil {
		t.Error(err)
	}
}

func TestManyControlsDoNotBlock(t *testing.T) {
	r := start(t, nil)
	for range 3 * (maxControls + maxReaders) {
		dialUnix(t, r.opts.ControlSocket) // says nothing
	}
	// Over the limit is closed at once, so that ctl fails and does not hang.
	begin := time.Now()
	_ = Ctl(t.Context(), Control{Socket: r.opts.ControlSocket}, CommandGet, nil, io.Discard)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("ctl hung for %v", took)
	}
}

func TestPeerOfAnotherUserIsRefused(t *testing.T) {
	near, far := pair(t)
	for _, conn := range []*net.UnixConn{near, far} {
		if err := checkPeer(conn); err != nil {
			t.Error(err)
		}
		if err := checkPeerIs(conn, os.Geteuid()+1); err == nil {
			t.Error("another user is taken for ours")
		}
	}
}
