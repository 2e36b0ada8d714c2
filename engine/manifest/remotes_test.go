package manifest

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

// Public keys of no host.
const (
	keyEd25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM0iNAmJM6GzsU/6SwFGVLQdLc+daslc+ivCzijtkxvZ"
	keyECDSA   = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFvkq1K9EUMCzQ1ft/HsvgJi+HLXQwHvx2fCrKYHS8zJRErw9Dg/ENea8Rls95Dk4+sy057Dn8KdP8J6ib9PKSo="
	keyRSA     = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDhDq7wNfzvgjW4Ac+vonzFZuv7pT3nZ8XZd+Wiu79SKiFFhpdedagukBlXauI9lQs7/zG8aDWjkM1tfFj1HSSHCsyJ2NAHmlc5ucbUDjfm9VYVeWZ8ItfH/njPIFXjN9xditvKI+nSuXrFbXMncr25fr2/tRiyhn1yLN73WrLkvR3dEf7WC9lgApmfP30HN+wnndAR4V/QFU/p5hNGeShWmOYyxg93pXg13/iyFgelu0xgxsW2VxFwBCAuLXSKavoDiN4sUfYqX9HA8Djq9hIxSDFcsMM+DiPgRtY6gUbM4tSRmi6072ChJIHp291W7bsH/3jBUf0NpbOzpI+NJdg+X7t5KWmUloUHamNXosFZS6eVI3sKt8mmKplYxk3Er6xaHondxYjPL1VUfVDHSJ63YKIPwBPgSM+KQRJwWb50u4HEp8xF0VWPDUhgR146b/52zYoK2yDkzrpT7JwDNKzjs/o3MWRyODORJJ0CgdC4PmQVXpBa6OxJXNRrp9udYsU="
)

func TestRemotes(t *testing.T) {
	fleet := loaded(t, tree(t, map[string]string{"home/bottles/dev.md": md(`
git:
  remotes:
    web:
      upstream: https://git.example.com:443/o/web.git/
      token_ref: FORGE_TOKEN
      push:
        allow: [refs/heads/agent/*, refs/heads/fix-*]
        force: true
        protect: []
    origin:
      upstream: ssh://git@git.example.com/o/app.git
      identity_file: ~/.ssh/deploy
      known_host_key: git.example.com ` + keyEd25519 + ` a comment
    docs:
      upstream: ssh://me@git.example.com:2222/~me/docs
      identity_file: /keys/docs
      known_host_key: ` + keyECDSA + `
      push: false
    wiki:
      upstream: https://git.example.com/~me/wiki
      token_ref: {command: [pass, wiki]}
      push: {tags: true, delete: true, protect: [Makefile]}
`)}))
	at := func(line int) Pos { return Pos{"home/bottles/dev.md", line} }
	want := []Remote{
		{
			Name: "docs", Upstream: "ssh://me@git.example.com:2222/~me/docs", IdentityFile: "/keys/docs", KnownHostKey: keyECDSA,
			Push: egress.Push{Off: true, Protect: egress.DefaultProtect}, From: at(15),
		},
		{
			Name: "origin", Upstream: "ssh://git@git.example.com/o/app.git", IdentityFile: "~/.ssh/deploy", KnownHostKey: keyEd25519,
			Push: egress.Push{Protect: egress.DefaultProtect}, From: at(11),
		},
		{
			Name: "web", Upstream: "https://git.example.com/o/web.git", TokenRef: "FORGE_TOKEN",
			Push: egress.Push{Allow: []string{"refs/heads/agent/*", "refs/heads/fix-*"}, Force: true}, From: at(4),
		},
		{
			Name: "wiki", Upstream: "https://git.example.com/~me/wiki", TokenRef: `command:["pass","wiki"]`,
			Push: egress.Push{Tags: true, Delete: true, Protect: []string{"Makefile"}}, From: at(20),
		},
	}
	if diff := cmp.Diff(want, fleet.Bottles["dev"].Remotes); diff != "" {
		t.Errorf("remotes (-want +got):\n%s", diff)
	}
	if got := fleet.Bottles["dev"].From["git.remotes.web.push.force"]; got != at(9) {
		t.Errorf("push.force is from %v", got)
	}
}

func TestRemotesMerge(t *testing.T) {
	remote := func(name string) string {
		return name + ": {upstream: 'https://example.com/" + name + "', token_ref: T}"
	}
	names := func(b *Bottle) []string {
		var out []string
		for _, r := range b.Remotes {
			out = append(out, r.Name)
		}
		return out
	}
	for _, c := range []struct {
		name, base, dev string
		want            []string
	}{
		{"of the parent", "git: {remotes: {" + remote("a") + "}}", "supervise: false", []string{"a"}},
		{"replaced as a whole", "git: {remotes: {" + remote("a") + "}}", "git: {remotes: {" + remote("b") + "}}", []string{"b"}},
		{"cleared", "git: {remotes: {" + remote("a") + "}}", "git: {remotes: {}}", nil},
		{"beside an identity", "git: {remotes: {" + remote("a") + "}}", "git: {user: {name: N}}", []string{"a"}},
		// Each of the two is fine alone, and they are never together.
		{"one upstream in parent and child", "git: {remotes: {" + remote("a") + "}}", "git: {remotes: {b: {upstream: 'https://example.com/a', token_ref: T}}}", []string{"b"}},
	} {
		if d := cmp.Diff(c.want, names(chain(t, c.base, c.dev))); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

func TestHostKeyForms(t *testing.T) {
	for text, upstream := range map[string]string{
		keyEd25519: "ssh://git@h.example.com/a", keyRSA: "ssh://git@h.example.com/a", keyECDSA + " root@h": "ssh://git@h.example.com/a",
		"h.example.com " + keyRSA:                   "ssh://git@h.example.com/a",
		"h.example.com,192.0.2.1 " + keyECDSA:       "ssh://git@h.example.com/a",
		"[h.example.com]:2222 " + keyEd25519 + " c": "ssh://git@h.example.com:2222/a",
		"2001:db8::1 " + keyEd25519:                 "ssh://git@[2001:db8::1]/a",
	} {
		u, err := parseUpstream(upstream)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseHostKey(text, u)
		if err != nil || !slices.Contains([]string{keyEd25519, keyECDSA, keyRSA}, got) || !strings.Contains(text, got) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// Whatever is accepted cannot be taken for an option or for another URL, and
// is its own canonical form.
func FuzzUpstream(f *testing.F) {
	for _, seed := range []string{
		"ssh://git@example.com/a.git", "https://example.com:443/a/", "ssh://git@[2001:db8::1]:22/a", "ssh://-o@x/a",
		"ssh://git@example.com/~me/a%20b", "ssh://git@h/a%2f..%2fb", "ssh://git@h/%2da", "git@h:a", "https://u:p@h/a?x#y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseUpstream(text)
		if err != nil {
			return
		}
		again, err := parseUpstream(u.String())
		if err != nil || again.String() != u.String() {
			t.Errorf("%q becomes %q, and that %v, %v", text, u, again, err)
		}
		user := u.User.Username()
		if strings.HasPrefix(u.Host, "-") || strings.HasPrefix(user, "-") || (u.Scheme == "ssh") != (user != "") {
			t.Errorf("%q: user %q, host %q", text, user, u.Host)
		}
		for _, r := range u.Path + u.String() {
			if r < 0x20 || r == 0x7f {
				t.Errorf("%q holds a control character", text)
			}
		}
		if strings.HasSuffix(u.Path, "/") || strings.Contains(u.Path, "/-") || strings.Contains(u.Path+"/", "/../") {
			t.Errorf("%q: path %q", text, u.Path)
		}
	})
}

func FuzzHostKey(f *testing.F) {
	for _, seed := range []string{keyEd25519, "h " + keyECDSA + " c", keyRSA, "SHA256:x", "ssh-ed25519 AAAA", "@revoked h " + keyRSA, ""} {
		f.Add(seed)
	}
	u := &url.URL{Scheme: "ssh", Host: "h"}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseHostKey(text, u)
		if err != nil {
			if strings.Contains(err.Error(), text) && len(text) > 20 {
				t.Errorf("%q is shown", text)
			}
			return
		}
		again, err := parseHostKey(got, u)
		if kind, key, ok := strings.Cut(got, " "); err != nil || again != got || !ok || !holdsKey(kind, key) {
			t.Errorf("%q becomes %q, and that %q, %v", text, got, again, err)
		}
	})
}
