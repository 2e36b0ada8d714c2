package hostside

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/sidecar"
)

// A process of the same user, even one that nothing confines, commands a sidecar
// with its key only, which no argument, environment or log shows.
func TestKeyOfASidecar(t *testing.T) {
	s, one := newSidecars(t)
	if err := s.Ensure(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	h := s.home(one.ID)
	key, err := os.ReadFile(h.file(keyFile))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(h.file(keyFile)); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, before := range []string{"", "bb1 key \n", "bb1 key " + egress.NewControlKey() + "\n"} {
		for verb, payload := range commands(one.ID.Name()) {
			if said, err := say(h.control(), before+"bb1 "+verb+"\n"+payload); err != nil || said != `{"ok":false,"error":"this sidecar takes commands with its key only"}`+"\n" {
				t.Errorf("%q, %s: %q, %v", before, verb, said, err)
			}
		}
	}
	document := fmt.Sprintf(`{"bb":1,"instance":%q,"routes":[],"tokens":{}}`, one.ID.Name())
	if said, err := say(h.control(), "bb1 key "+string(key)+"\nbb1 apply\n"+document); err != nil || said != `{"ok":true}`+"\n" {
		t.Errorf("with the key: %q, %v", said, err)
	}
	p, err := serving(h)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if err := s.AccessLog(t.Context(), one.ID, egress.LogRequest{}, &log); err != nil || !strings.HasPrefix(log.String(), `{"ok":true`) {
		t.Errorf("the log: %s, %v", log.String(), err)
	}
	for _, file := range []string{"/proc/" + strconv.Itoa(p.PID) + "/cmdline", "/proc/" + strconv.Itoa(p.PID) + "/environ", h.log()} {
		if b, err := os.ReadFile(file); err != nil || len(b) == 0 || bytes.Contains(b, key) {
			t.Errorf("%s: %q, %v", file, b, err)
		}
	}
	if err := end(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	if said, err := say(h.control(), "bb1 key "+string(key)+"\nbb1 get\n"); err != nil || strings.Contains(said, "true") {
		t.Errorf("with the key of its life before: %q, %v", said, err)
	}
}

// One that was taken over leads bb nowhere: a link in the place of its control
// socket takes neither a document nor a command to another bottle's.
func TestLinkToASibling(t *testing.T) {
	s, one := newSidecars(t)
	two := *one
	two.ID.Agent = "sibling"
	t.Cleanup(func() { _ = s.Remove(context.Background(), two.ID) })
	for _, x := range []error{s.Ensure(t.Context(), one), s.Ensure(t.Context(), &two)} {
		if x != nil {
			t.Fatal(x)
		}
	}
	h := s.home(one.ID)
	if err := os.Remove(h.control()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.home(two.ID).control(), h.control()); err != nil {
		t.Fatal(err)
	}
	for verb, payload := range commands(two.ID.Name()) {
		if verb == "log" || verb == "agent" || verb == "supervise" {
			continue
		}
		if said, err := s.Control(t.Context(), one.ID, verb, []byte(payload)); err == nil || !strings.Contains(err.Error(), "with its key only") {
			t.Errorf("%s: %s, %v", verb, said, err)
		}
	}
}

func init() { roles["older"] = playOlder }

// playOlder is a bb that knew no key.
func playOlder(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	at, err := Here()
	if err != nil {
		return err
	}
	switch strings.Join(args, " ") {
	case "host":
		log, err := os.Create(at.Log)
		if err != nil {
			return err
		}
		if err := claim(pidFile); err != nil {
			return err
		}
		return sidecar.Run(ctx, sidecar.Options{
			DoorSocket: at.Door, ControlSocket: at.Control, CADir: at.CA, Instance: os.Getenv("BB_INSTANCE"), Stdout: log, Stderr: log,
		})
	case "ctl --control " + args[min(2, len(args)-1)] + " get":
		return sidecar.Ctl(ctx, sidecar.Control{Socket: args[2]}, "get", os.Stdin, os.Stdout)
	}
	return fmt.Errorf("unknown %v", args)
}

// A sidecar of a bb that knew no key is seen, started and asked as it was, and
// replaced by the next apply.
func TestSidecarOfAnOlderBB(t *testing.T) {
	s, one := newSidecars(t)
	h := s.home(one.ID)
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		t.Fatal(err)
	}
	older := filepath.Join(s.opts.Dir, "bb-0123456789ab-1")
	script := fmt.Sprintf("#!/bin/sh\nshift\nexec %s sidecar older \"$@\"\n", played)
	for path, text := range map[string]string{
		older: script, h.file(recordFile): `{"ref":"r1","image":"bb-0123456789ab-1","version":"0"}`,
		h.file(instanceFile): `{"Scope":"` + one.ID.Scope + `","Agent":"dev","Replica":"1"}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // one is a program
			t.Fatal(err)
		}
	}
	if err := s.Start(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	if x := only(t, s); !x.Part.Running || x.State == nil || x.Part.Ref != "r1" || x.Part.Image == s.Image() {
		t.Fatalf("%+v", x.Part)
	}
	if err := s.Start(t.Context(), one.ID); err != nil {
		t.Error(err)
	}
	if reply, err := s.Control(t.Context(), one.ID, "get", nil); err != nil || !bytes.Contains(reply, []byte(`"ok":true`)) {
		t.Errorf("%s, %v", reply, err)
	}
	was, _ := serving(h)
	if err := s.Ensure(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if is, err := serving(h); err != nil || is.PID == 0 || is.PID == was.PID || was.PID == 0 || born(was.PID) != "" {
		t.Errorf("%+v before, %+v now, %v", was, is, err)
	}
	if reply, err := s.Control(t.Context(), one.ID, "get", nil); err != nil || !bytes.Contains(reply, []byte(`"ok":true`)) {
		t.Errorf("%s, %v", reply, err)
	}
	if said, err := say(h.control(), "bb1 get\n"); err != nil || strings.Contains(said, "true") {
		t.Errorf("%s, %v", said, err)
	}
}
