package compile

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/manifest"
)

func TestRemotes(t *testing.T) {
	at := manifest.Pos{File: "/h/bottles/dev.md", Line: 12}
	push := egress.Push{Protect: []string{"ci.yml"}}
	s := specsOf(t, fleet(func(a *manifest.Agent) {
		a.Bottle.Remotes = []manifest.Remote{
			{Name: "a", Upstream: "https://example.com/a", TokenRef: "TOKEN", Push: push, From: at},
			{Name: "b", Upstream: "ssh://git@example.com/b", IdentityFile: "~/.ssh/id", KnownHostKey: "ssh-ed25519 AAAA", From: at},
			{Name: "c", Upstream: "ssh://git@example.com/c", IdentityFile: "~/.ssh/id", KnownHostKey: "ssh-ed25519 AAAA", From: at},
			{Name: "d", Upstream: "ssh://git@example.com/d", IdentityFile: "/k", KnownHostKey: "ssh-ed25519 AAAA", From: at},
		}
	}), options())[0]
	const source = "bottle dev.md:12"
	want := []egress.Remote{
		{Name: "a", Upstream: "https://example.com/a", Slot: "GIT_CREDENTIAL_0", Push: push, Source: source},
		{Name: "b", Upstream: "ssh://git@example.com/b", HostKey: "ssh-ed25519 AAAA", Slot: "GIT_CREDENTIAL_1", Source: source},
		{Name: "c", Upstream: "ssh://git@example.com/c", HostKey: "ssh-ed25519 AAAA", Slot: "GIT_CREDENTIAL_1", Source: source},
		{Name: "d", Upstream: "ssh://git@example.com/d", HostKey: "ssh-ed25519 AAAA", Slot: "GIT_CREDENTIAL_2", Source: source},
	}
	if d := cmp.Diff(want, s.Live.Remotes); d != "" {
		t.Errorf("remotes (-want +got):\n%s", d)
	}
	// A route and a remote of one reference have a slot each: a route is given
	// its token by the proxy, a remote by the gate.
	if d := cmp.Diff(map[string]string{
		"EGRESS_TOKEN_0": "TOKEN", "GIT_CREDENTIAL_0": "TOKEN", "GIT_CREDENTIAL_1": "key:~/.ssh/id", "GIT_CREDENTIAL_2": "key:/k",
	}, s.Live.Tokens); d != "" {
		t.Errorf("tokens (-want +got):\n%s", d)
	}
}
