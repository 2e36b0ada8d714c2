package plan

import (
	"testing"

	"github.com/bot-bottle/bb/egress"
)

func TestDescribeRemote(t *testing.T) {
	protect := egress.DefaultProtect
	for _, tt := range []struct {
		upstream string
		push     egress.Push
		want     string
	}{
		{"ssh://git@git.example.com/a", egress.Push{Protect: protect}, "git.example.com:22   push refs/heads/* but the default branch"},
		{"ssh://git@git.example.com:2222/a", egress.Push{Off: true}, "git.example.com:2222   no push"},
		{"https://git.example.com/a", egress.Push{Allow: []string{"refs/heads/a", "refs/heads/b/*"}, Tags: true, Protect: protect}, "git.example.com:443   push refs/heads/a, refs/heads/b/*  tags"},
		{"ssh://git@[2001:db8::1]/a", egress.Push{Force: true, Delete: true}, "[2001:db8::1]:22   push refs/heads/* but the default branch  force  delete  protects nothing"},
		{"ssh://git@h/a", egress.Push{Protect: []string{"a", "b"}}, "h:22   push refs/heads/* but the default branch  protects 2 paths"},
	} {
		if got := DescribeRemote(egress.Remote{Upstream: tt.upstream, Push: tt.push}); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.upstream, got, tt.want)
		}
	}
}
