package docker

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// The way to the ssh-agent is there while its host end is, and plans see it.
func TestAgentStreamIsSeen(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	blob := append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), make([]byte, 32)...)
	key := egress.AgentCredential("ssh-ed25519", blob)
	s.Live.Tokens["GIT_CREDENTIAL_0"] = "key:~/id"
	secrets := newSecrets(d, s)
	secrets.Tokens["GIT_CREDENTIAL_0"], secrets.Digests["GIT_CREDENTIAL_0"] = key, "d1"
	for _, step := range []func() error{
		func() error { return d.Prepare(t.Context(), nil) },
		func() error { return d.CreateSidecar(t.Context(), s) },
		func() error { return d.Configure(t.Context(), s, secrets, []string{spec.PartEgress}) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	says := func(want string) {
		t.Helper()
		got := ""
		for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if o, _ := observed(t, d, s); o.State != nil {
				if got = o.State.Agent; got == want {
					return
				}
			}
		}
		t.Fatalf("the sidecar says %q, want %q", got, want)
	}
	says(egress.AgentGone)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, hello := io.Pipe()
	answers, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- d.ControlStream(ctx, s.ID, "agent", in, out) }()
	if _, err := io.WriteString(hello, `{"keys":["ssh-agent ssh-ed25519 `+base64.StdEncoding.EncodeToString(blob)+`"]}`+"\n"); err != nil {
		t.Fatal(err)
	}
	var reply egress.Reply
	line, err := bufio.NewReader(answers).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &reply) != nil || !reply.OK {
		t.Fatalf("%q, %v", line, err)
	}
	says(egress.AgentConnected)
	cancel() // as the end of a relay that is killed: the connection to the engine goes
	if err := <-ended; err == nil {
		t.Error("a stream that was cut off ended well")
	}
	says(egress.AgentGone)
}
