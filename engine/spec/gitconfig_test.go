package spec

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

func TestGitConfig(t *testing.T) {
	key := func(name string) string { return "url.http://git-gate:9420/" + name + ".git.insteadOf" }
	for name, tt := range map[string]struct {
		live Live
		want []GitSetting
	}{
		"nothing declared": {Live{}, nil},
		"both fields": {Live{GitUser: GitUser{Name: "A B", Email: "a@example.com"}}, []GitSetting{
			{"user.name", []string{"A B"}, PartIdentity}, {"user.email", []string{"a@example.com"}, PartIdentity},
		}},
		"an email only": {
			Live{GitUser: GitUser{Email: "a@example.com"}},
			[]GitSetting{{"user.email", []string{"a@example.com"}, PartIdentity}},
		},
		"remotes": {
			Live{Remotes: []egress.Remote{
				{Name: "a", Upstream: "ssh://git@git.example.com/o/x.git"},
				{Name: "b", Upstream: "ssh://git@git.example.com:2222/o/x.git"},
				{Name: "c", Upstream: "https://git.example.com/o/x.git"},
				{Name: "d", Upstream: "ssh://me@git.example.com/~me/x"},
				{Name: "e", Upstream: "ssh://git@git.example.com:22/y.git"},
				{Name: "f", Upstream: "ssh://git@[2001:db8::1]/y.git"},
				{Name: "g", Upstream: "https://git.example.com:8443/z"},
			}},
			[]GitSetting{
				{key("a"), []string{
					"ssh://git@git.example.com/o/x.git", "ssh://git@git.example.com:22/o/x.git",
					"git@git.example.com:o/x.git", "git@git.example.com:/o/x.git",
				}, PartGit},
				{key("b"), []string{"ssh://git@git.example.com:2222/o/x.git"}, PartGit},
				{key("c"), []string{"https://git.example.com/o/x.git", "https://git.example.com:443/o/x.git"}, PartGit},
				{key("d"), []string{
					"ssh://me@git.example.com/~me/x", "ssh://me@git.example.com:22/~me/x", "me@git.example.com:~me/x",
				}, PartGit},
				{key("e"), []string{
					"ssh://git@git.example.com:22/y.git", "ssh://git@git.example.com/y.git",
					"git@git.example.com:y.git", "git@git.example.com:/y.git",
				}, PartGit},
				{key("f"), []string{
					"ssh://git@[2001:db8::1]/y.git", "ssh://git@[2001:db8::1]:22/y.git",
					"git@[2001:db8::1]:y.git", "git@[2001:db8::1]:/y.git",
				}, PartGit},
				{key("g"), []string{"https://git.example.com:8443/z"}, PartGit},
			},
		},
	} {
		if d := cmp.Diff(tt.want, GitConfig(&Spec{Live: tt.live})); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}
