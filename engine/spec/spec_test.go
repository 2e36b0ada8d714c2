package spec

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

var testKey = Key("0123456789abcdef0123456789abcdef")

func example() *Spec {
	return &Spec{
		ID:      ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"},
		Backend: "docker",
		Fixed: Fixed{
			Backend: "docker", Provider: "shell",
			Env: []Env{
				{Name: "GITEA", Kind: EnvHost, Value: "GITEA_TOKEN"},
				{Name: "PORT", Kind: EnvLiteral, Value: "swordfish"},
			},
			Resources: Resources{CPUs: 2, Memory: 4 << 30, PIDs: 512},
			Workspace: Workspace{Mode: "none", GuestPath: Workdir},
		},
		Live: Live{
			Routes: []egress.Route{{
				Host: "api.example.com", Port: 443, Source: "bottle dev.md:3",
				Auth: &egress.Auth{Scheme: "Bearer", TokenRef: "TOKEN", Slot: "EGRESS_TOKEN_0"},
			}},
			Tokens: map[string]string{"EGRESS_TOKEN_0": "TOKEN"},
		},
	}
}

// A hash that drifts by accident would replace every bottle of every user.
func TestHashGolden(t *testing.T) {
	const want = "v1:"
	got := example().Hash(testKey)
	if !strings.HasPrefix(got, want) || len(got) != len(want)+64 {
		t.Fatalf("hash %q", got)
	}
	if golden := "v1:48282ea33ec4ebf21fb96ce5b3a7c3bb4a07902a56bb57c0c0142b7db4acaebd"; got != golden {
		t.Errorf("hash of the example is %s, was %s", got, golden)
	}
}

func TestHashFollowsEveryFixedField(t *testing.T) {
	base := example().Hash(testKey)
	edits := map[string]func(*Spec){
		"backend":   func(s *Spec) { s.Fixed.Backend = "smolvm" },
		"provider":  func(s *Spec) { s.Fixed.Provider = "claude" },
		"env value": func(s *Spec) { s.Fixed.Env[1].Value = "x" },
		"env kind":  func(s *Spec) { s.Fixed.Env[1].Kind = EnvHost },
		"env name":  func(s *Spec) { s.Fixed.Env[1].Name = "P" },
		"cpus":      func(s *Spec) { s.Fixed.Resources.CPUs = 3 },
		"workspace": func(s *Spec) { s.Fixed.Workspace.Mode = "copy" },
		"supervise": func(s *Spec) { s.Fixed.Supervise = true },
		"files":     func(s *Spec) { s.Fixed.Files = "x" },
	}
	for name, edit := range edits {
		s := example()
		edit(s)
		if s.Hash(testKey) == base {
			t.Errorf("%s does not change the hash", name)
		}
	}
	live := example()
	live.Live.Prompt, live.Live.Routes = "be nice", nil
	if live.Hash(testKey) != base {
		t.Error("the live half changes the hash of the fixed half")
	}
}

func TestLabelsHoldNoLiteralValue(t *testing.T) {
	if js := example().FixedJSON(testKey); strings.Contains(js, "swordfish") || !json.Valid([]byte(js)) {
		t.Error(js)
	}
}

func TestLiveHashes(t *testing.T) {
	base := example().LiveHashes()
	for name, tt := range map[string]struct {
		edit func(*Spec)
		part string
	}{
		"route":    {func(s *Spec) { s.Live.Routes[0].Port = 8443 }, PartEgress},
		"roots":    {func(s *Spec) { s.Live.UpstreamCA = "x" }, PartEgress},
		"ref":      {func(s *Spec) { s.Live.Tokens["EGRESS_TOKEN_0"] = "OTHER" }, PartEgress},
		"identity": {func(s *Spec) { s.Live.GitUser.Email = "a@example.com" }, PartIdentity},
		"prompt":   {func(s *Spec) { s.Live.Prompt = "x" }, PartPrompt},
		"skills":   {func(s *Spec) { s.Live.Skills = []Skill{{Name: "a"}} }, PartSkills},
	} {
		s := example()
		tt.edit(s)
		for part, h := range s.LiveHashes() {
			if (h != base[part]) != (part == tt.part) {
				t.Errorf("%s: part %s", name, part)
			}
		}
		if s.LiveHashes()[tt.part] == base[tt.part] {
			t.Errorf("%s does not change %s", name, tt.part)
		}
	}
	if _, ok := base[PartIdentity]; ok {
		t.Error("an identity that is not declared has a hash")
	}
	if got := base[PartEgress]; got != "v1:9e0b245738a30990d1e0f973e37c94419bd4ac3ae5718b93805bcddd568c26b8" {
		t.Errorf("hash of what leaves is %s: every running bottle would be updated", got)
	}
}

// withRemote is a spec behind the git gate.
func withRemote() *Spec {
	s := example()
	s.Live.Remotes = []egress.Remote{{
		Name: "origin", Upstream: "ssh://git@git.example.com/o/app.git", HostKey: "ssh-ed25519 AAAA", Slot: "GIT_CREDENTIAL_0",
		Push: egress.Push{Protect: []string{"ci.yml"}}, Source: "bottle dev.md:12",
	}}
	s.Live.Tokens["GIT_CREDENTIAL_0"] = "key:~/.ssh/deploy"
	return s
}

func TestLiveHashesOfRemotes(t *testing.T) {
	bare, base := example().LiveHashes(), withRemote().LiveHashes()
	if base[PartGit] == "" || bare[PartGit] != "" || base[PartEgress] != bare[PartEgress] {
		t.Fatalf("with a remote %v, without %v", base, bare)
	}
	for name, edit := range map[string]func(*Spec){
		"name":      func(s *Spec) { s.Live.Remotes[0].Name = "x" },
		"upstream":  func(s *Spec) { s.Live.Remotes[0].Upstream += "x" },
		"host key":  func(s *Spec) { s.Live.Remotes[0].HostKey += "x" },
		"reference": func(s *Spec) { s.Live.Tokens["GIT_CREDENTIAL_0"] = "key:~/.ssh/other" },
		"off":       func(s *Spec) { s.Live.Remotes[0].Push.Off = true },
		"allow":     func(s *Spec) { s.Live.Remotes[0].Push.Allow = []string{"refs/heads/x"} },
		"force":     func(s *Spec) { s.Live.Remotes[0].Push.Force = true },
		"delete":    func(s *Spec) { s.Live.Remotes[0].Push.Delete = true },
		"tags":      func(s *Spec) { s.Live.Remotes[0].Push.Tags = true },
		"protect":   func(s *Spec) { s.Live.Remotes[0].Push.Protect = nil },
	} {
		s := withRemote()
		edit(s)
		for part, h := range s.LiveHashes() {
			if (h != base[part]) != (part == PartGit) {
				t.Errorf("%s: part %s", name, part)
			}
		}
	}
	moved := withRemote()
	moved.Live.Remotes[0].Source = "bottle dev.md:13"
	if d := cmp.Diff(base, moved.LiveHashes()); d != "" {
		t.Errorf("a line that moved: %s", d)
	}
	if moved.Rules().Digest() != withRemote().Rules().Digest() || moved.Rules().Digest() == example().Rules().Digest() {
		t.Error("the rules do not follow what is enforced")
	}
}

func TestDocumentOfRemotes(t *testing.T) {
	s := withRemote()
	d := s.Document(Secrets{Tokens: map[string]string{"GIT_CREDENTIAL_0": "k"}, Digests: map[string]string{"GIT_CREDENTIAL_0": "d", "EGRESS_TOKEN_0": "e"}}, nil)
	want := map[string]egress.Token{"GIT_CREDENTIAL_0": {Value: "k", Digest: "d"}, "EGRESS_TOKEN_0": {Keep: "e"}}
	if diff := cmp.Diff(want, d.Tokens); diff != "" {
		t.Error(diff)
	}
	if text := canonical(d); strings.Contains(text, "~/.ssh") || !strings.Contains(text, `"upstream":"ssh://git@git.example.com/o/app.git"`) {
		t.Error(text)
	}
	if got := d.Rules(); got.Digest() != s.Rules().Digest() {
		t.Errorf("the document enforces %+v", got)
	}
}

func TestDocument(t *testing.T) {
	s := example()
	got := s.Document(Secrets{
		Tokens:  map[string]string{"EGRESS_TOKEN_0": "secret"},
		Digests: map[string]string{"EGRESS_TOKEN_0": "d"},
	}, []string{PartEgress, PartPrompt})
	want := egress.Document{
		Version: 1, Instance: "bb-dev-012345",
		Live: map[string]string{PartEgress: s.LiveHashes()[PartEgress]},
		Routes: []egress.Route{{
			Host: "api.example.com", Port: 443, Source: "bottle dev.md:3",
			Auth: &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"},
		}},
		Tokens: map[string]egress.Token{"EGRESS_TOKEN_0": {Value: "secret", Digest: "d"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if s.Live.Routes[0].Auth.TokenRef != "TOKEN" {
		t.Error("the spec itself was changed")
	}
	kept := s.Document(Secrets{Digests: map[string]string{"EGRESS_TOKEN_0": "d"}}, nil)
	if d := cmp.Diff(map[string]egress.Token{"EGRESS_TOKEN_0": {Keep: "d"}}, kept.Tokens); d != "" {
		t.Error(d)
	}
}

func TestDigestSeparatesItsParts(t *testing.T) {
	seen := map[string]string{}
	for _, x := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"a", "", "bc"}, {"", "ab", "c"}, {"a", "b", "d"}} {
		d := testKey.Digest(x[0], x[1], x[2])
		if other, ok := seen[d]; ok && d != "" {
			t.Errorf("%q and %q have one digest", x, other)
		}
		seen[d] = x[0] + "|" + x[1] + "|" + x[2]
	}
	if Key(nil).Digest("a", "b", "c") != "" || testKey.Digest("a", "b", "") != "" {
		t.Error("an unknown value has a digest")
	}
}

func TestNames(t *testing.T) {
	seen := map[string]ID{}
	for _, id := range []ID{
		{"0123456789abcdef", "dev", "1"},
		{"0123456789abcdef", "dev", "2"},
		{"0123456789abcdef", "dev-2", "1"},
		{"0123456789abcdef", "dev", "x7f3"},
		{"ffff456789abcdef", "dev", "1"},
	} {
		for role, name := range map[string]string{
			RoleAgent: id.Name(), RoleSidecar: id.Sidecar(), RoleDoor: id.DoorVolume(), RoleCA: id.CAVolume(),
		} {
			if other, ok := seen[name]; ok {
				t.Errorf("%v and %v share %s", id, other, name)
			}
			seen[name] = id
			if ScopeOf(name) != id.Scope[:6] || ScopeOf("x"+name) != "" {
				t.Errorf("scope of %s: %q", name, ScopeOf(name))
			}
			labels := IdentityLabels("owner", "1", id, role)
			if got, gotRole, ok := ParseIdentity("owner", name, labels); !ok || got != id || gotRole != role {
				t.Errorf("%s: %v %v %v", name, got, gotRole, ok)
			}
			for what, ok := range map[string]bool{
				"another owner": parses("other", name, labels), "another name": parses("owner", name+"x", labels),
				"no owner": parses("", name, labels), "no labels": parses("owner", name, nil),
			} {
				if ok {
					t.Errorf("%s: ours with %s", name, what)
				}
			}
		}
	}
}

func parses(owner, name string, labels map[string]string) bool {
	_, _, ok := ParseIdentity(owner, name, labels)
	return ok
}

func TestScopeID(t *testing.T) {
	a := ScopeID("owner", "/home/a")
	if len(a) != 16 || a == ScopeID("owner", "/home/b") || a == ScopeID("other", "/home/a") || a != ScopeID("owner", "/home/a") {
		t.Error(a)
	}
}

func TestSourceLabel(t *testing.T) {
	for want, s := range map[string]Source{
		"dev.md, base.md": {AgentFile: "/a/dev.md", BottleFile: "/b/base.md"}, "dev.md": {AgentFile: "/a/dev.md"}, "base.md": {BottleFile: "/b/base.md"}, "": {},
	} {
		if got := s.Label(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
