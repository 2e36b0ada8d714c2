package sidecar

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

func keyed(t *testing.T) (*running, Control) {
	t.Helper()
	key := egress.NewControlKey()
	r := start(t, func(o *Options) { o.ControlKey = key })
	return r, Control{Socket: r.opts.ControlSocket, Key: key}
}

// Whoever has the key commands, and nobody else, whatever they say.
func TestControlKey(t *testing.T) {
	r, at := keyed(t)
	var out bytes.Buffer
	if err := Ctl(t.Context(), at, CommandApply, bytes.NewReader(document(nil)), &out); err != nil {
		t.Fatalf("with the key: %v", err)
	}
	if err := CtlLog(t.Context(), at, egress.LogRequest{}, nil, &out); err != nil {
		t.Errorf("with the key: %v", err)
	}
	wrong := egress.NewControlKey()
	for _, before := range []string{
		"", "bb1 key\n", "bb1 key \n", "bb1 key " + wrong + "\n", "bb1 key " + at.Key[:42] + "\n", "bb1 key " + at.Key + "A\n",
		"bb1 key  " + at.Key + "\n", "key " + at.Key + "\n", "bb1 KEY " + at.Key + "\n", "bb1 key " + strings.Repeat("\x00", 43) + "\n",
		"bb1 key " + strings.Repeat("A", 1<<16) + "\n", "bb1 get\nbb1 key " + at.Key + "\n",
	} {
		for verb, payload := range map[string]string{
			CommandGet: "", CommandCA: "", CommandLog: "{}\n", CommandSupervise: "", CommandAgent: "{}\n",
			CommandApply: string(document(func(d *egress.Document) { d.Routes[0].Host = "attacker.example.com" })),
		} {
			if got := raw(t, at.Socket, before+"bb1 "+verb+"\n"+payload); got.OK || got.Document != nil || got.Data != nil || got.Error != errNoKey.Error() {
				t.Errorf("%q, %s: %+v", before[:min(len(before), 60)], verb, got)
			}
		}
	}
	out.Reset()
	if err := Ctl(t.Context(), at, CommandGet, nil, &out); err != nil || !strings.Contains(out.String(), "api.example.org") {
		t.Errorf("afterwards: %s, %v", out.String(), err)
	}
	if said := r.stderr.String(); strings.Count(said, "without the key") != 1 || strings.Contains(said, at.Key) || strings.Contains(said, wrong) {
		t.Errorf("it says %s", said)
	}
}

// A sidecar without a key, in a container of its own, has none to give away.
func TestNoControlKey(t *testing.T) {
	r := start(t, nil)
	if got := raw(t, r.opts.ControlSocket, "bb1 key \nbb1 get\n"); got.OK {
		t.Errorf("%+v", got)
	}
	if got := raw(t, r.opts.ControlSocket, "bb1 get\n"); !got.OK {
		t.Errorf("%+v", got)
	}
}

func TestReadControlKey(t *testing.T) {
	key := egress.NewControlKey()
	if got, err := egress.ReadControlKey(strings.NewReader(key)); err != nil || got != key {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", key + "\n", key[:42], key + "A", strings.Repeat("=", 43), strings.Repeat(key, 2)} {
		if got, err := egress.ReadControlKey(strings.NewReader(text)); err == nil || got != "" || strings.Contains(err.Error(), key[:10]) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// Strangers who connect and wait, however many, keep the host from nothing.
func TestStrangersHoldNothing(t *testing.T) {
	_, at := keyed(t)
	for range 3 * maxStrangers {
		c, err := net.Dial("unix", at.Socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, "bb1 k") // and no more
	}
	for n := range 5 {
		begin := time.Now()
		if err := Ctl(t.Context(), at, CommandGet, nil, io.Discard); err != nil || time.Since(begin) > keyTimeout/2 {
			t.Errorf("%d: %v after %v", n, err, time.Since(begin))
		}
	}
}

// raw says all of a conversation, and returns the reply.
func raw(t *testing.T, socket, text string) (r egress.Reply) {
	t.Helper()
	c := dialUnix(t, socket)
	_, _ = io.WriteString(c, text)
	_ = c.CloseWrite()
	said := make([]byte, 64<<10)
	n, _ := c.Read(said)
	if err := json.Unmarshal(said[:n], &r); err != nil {
		t.Errorf("%.60q: %q, %v", text, said[:n], err)
	}
	_ = c.Close()
	return r
}
