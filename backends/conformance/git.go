package conformance

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// gitSettings: what a spec says of git is set for the agent's user, and unset
// when it is declared no more; the other part of it is left as it is.
func gitSettings(t *testing.T, s *suite) {
	if s.Git != nil {
		s.Git(t)
	}
	s.up(t, "")
	origin := egress.Remote{Name: "origin", Upstream: "ssh://git@git.example.com/o/app.git"}
	docs := egress.Remote{Name: "docs", Upstream: "https://git.example.com/o/docs.git"}
	moved := origin
	moved.Upstream = "ssh://git@git.example.com:2222/o/app.git"
	user := spec.GitUser{Name: "A B", Email: "a@example.com"}
	seen := map[string]bool{}
	for _, tt := range []struct {
		name    string
		part    string
		remotes []egress.Remote
		user    spec.GitUser
	}{
		{"nothing", spec.PartGit, nil, spec.GitUser{}},
		{"an identity", spec.PartIdentity, nil, user},
		{"a remote", spec.PartGit, []egress.Remote{origin}, user},
		{"the same again", spec.PartGit, []egress.Remote{origin}, user},
		{"two remotes", spec.PartGit, []egress.Remote{docs, origin}, user},
		{"one moved, one removed", spec.PartGit, []egress.Remote{moved}, user},
		{"no email", spec.PartIdentity, []egress.Remote{moved}, spec.GitUser{Name: "A B"}},
		{"no remotes", spec.PartGit, nil, spec.GitUser{Name: "A B"}},
		{"no identity", spec.PartIdentity, nil, spec.GitUser{}},
	} {
		x := *s.Spec
		x.Live.Remotes, x.Live.GitUser = tt.remotes, tt.user
		must(t, tt.name, s.d.Provision(t.Context(), &x, s.Secrets, []string{tt.part}))
		want := map[string][]string{}
		for _, c := range spec.GitConfig(&x) {
			seen[c.Key], want[c.Key] = true, c.Values
		}
		for key := range seen {
			if d := cmp.Diff(want[key], s.gitConfig(t, key)); d != "" {
				t.Errorf("%s: %s (-want +got):\n%s", tt.name, key, d)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("keys %v", seen)
	}
}

// gitConfig answers all values of a key, nil where it has none.
func (s *suite) gitConfig(t *testing.T, key string) []string {
	t.Helper()
	if s.GitConfig != nil {
		return s.GitConfig(t, s.Spec.ID, key)
	}
	out := &bytes.Buffer{}
	code, err := s.d.Exec(t.Context(), s.Spec.ID, backends.ExecRequest{
		Argv: []string{"git", "config", "--global", "--get-all", key}, Stdout: out, Stderr: &bytes.Buffer{},
	})
	must(t, "git config", err)
	if code != 0 && code != 1 { // 1: it is not there
		t.Fatalf("git config: exit code %d", code)
	}
	var values []string
	for line := range strings.Lines(out.String()) {
		values = append(values, strings.TrimSuffix(line, "\n"))
	}
	return values
}
