package docker

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// TestRemotesInGit asserts the exact calls for remotes that come, change and
// go, what git then does, and that what the agent set itself stays.
func TestRemotesInGit(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUpWithGit(t, d, s)
	r := &recorder{engineAPI: d.engine}
	d.engine = r
	const call = "1000:1000 HOME=/home/node USER=node | /bb/bin/bb door session --bare -- git config --global "
	const origin, fork = "url.http://git-gate:9420/origin.git.insteadOf", "url.http://git-gate:9420/fork.git.insteadOf"
	one := egress.Remote{Name: "origin", Upstream: "ssh://git@git.example.com:2222/a/b.git"}
	two := egress.Remote{Name: "fork", Upstream: "https://git.example.com/c/d.git"}
	moved := one
	moved.Upstream = "ssh://git@git.example.com/a/b.git"
	provision := func() error {
		r.execs = nil
		return d.Provision(t.Context(), s, spec.Secrets{}, []string{spec.PartGit})
	}
	sets := func(key string) (calls []string) {
		for _, x := range spec.GitConfig(s) {
			for i, v := range x.Values {
				if x.Key == key {
					calls = append(calls, call+[]string{"--replace-all ", "--add "}[min(i, 1)]+key+" "+v)
				}
			}
		}
		return calls
	}
	if out, code := sh(t, d, s, "git config --global alias.st status && git config --global url.ssh://mine/.insteadOf m: && git config --global "+
		strings.TrimSuffix(origin, "insteadOf")+"pushInsteadOf mine:"); code != 0 {
		t.Fatal(out)
	}
	own, _ := sh(t, d, s, "git config --global --list")
	var last string
	for _, tt := range []struct {
		what    string
		remotes []egress.Remote
		want    func() []string
		maps    string // what the upstream is for git in the bottle
	}{
		{"none", nil, func() []string { return nil }, "ssh://git@git.example.com:2222/a/b.git"},
		{"one", []egress.Remote{one}, func() []string { return sets(origin) }, "http://git-gate:9420/origin.git"},
		{"another", []egress.Remote{two, one}, func() []string { return append(sets(fork), sets(origin)...) }, "http://git-gate:9420/origin.git"},
		{"moved", []egress.Remote{moved}, func() []string { return append([]string{call + "--unset-all " + fork}, sets(origin)...) }, "ssh://git@git.example.com:2222/a/b.git"},
		{"back", []egress.Remote{one}, func() []string { return sets(origin) }, "http://git-gate:9420/origin.git"},
		{"none again", nil, func() []string { return []string{call + "--unset-all " + origin} }, "ssh://git@git.example.com:2222/a/b.git"},
	} {
		s.Live.Remotes = tt.remotes
		if err := provision(); err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		want := tt.want()
		if diff := cmp.Diff(want, r.execs); diff != "" {
			t.Errorf("%s: calls (-want +got):\n%s", tt.what, diff)
		}
		got, _ := sh(t, d, s, "git ls-remote --get-url ssh://git@git.example.com:2222/a/b.git")
		if strings.TrimSpace(got) != tt.maps {
			t.Errorf("%s: git goes to %q, want %q", tt.what, got, tt.maps)
		}
		last, _ = sh(t, d, s, "git config --global --list")
	}
	if last != own {
		t.Errorf("afterwards %q, before %q", last, own)
	}

	// Killed between any two calls, and applied again.
	for n := 1; ; n++ {
		s.Live.Remotes = []egress.Remote{two, one}
		if err := provision(); err != nil {
			t.Fatal(err)
		}
		s.Live.Remotes = []egress.Remote{moved}
		r.dies = n
		err := provision()
		r.dies = 0
		if err == nil {
			if n < 3 {
				t.Error("nothing was killed")
			}
			break
		}
		s.Live.Remotes = nil // and the manifest changed meanwhile
		if err := provision(); err != nil {
			t.Fatal(err)
		}
		if got, _ := sh(t, d, s, "git config --global --list"); got != own {
			t.Errorf("killed after %d calls: %q, want %q", n, got, own)
		}
	}

	// Everything at once, as an apply does it: the identity comes first.
	s.Live.Remotes, s.Live.GitUser = []egress.Remote{one}, spec.GitUser{Name: "A B"}
	r.execs = nil
	if err := d.Provision(t.Context(), s, spec.Secrets{}, []string{spec.PartGit, spec.PartIdentity}); err != nil {
		t.Fatal(err)
	}
	if want := slices.Concat([]string{call + "user.name A B"}, sets(origin)); !slices.Equal(want, r.execs) {
		t.Errorf("calls %q, want %q", r.execs, want)
	}
}

// A git that was killed in the middle leaves its lock: the next run is not stopped
// by it.
func TestLockOfGit(t *testing.T) {
	d := newDriver(t)
	s := newSpec(t, d)
	bringUpWithGit(t, d, s)
	if out, code := sh(t, d, s, "touch ~/.gitconfig.lock"); code != 0 {
		t.Fatal(out)
	}
	s.Live.GitUser = spec.GitUser{Name: "A B"}
	if err := d.Provision(t.Context(), s, spec.Secrets{}, []string{spec.PartIdentity}); err != nil {
		t.Fatal(err)
	}
	if out, _ := sh(t, d, s, "git config --global user.name; ls ~/.gitconfig.lock 2>/dev/null"); out != "A B\n" {
		t.Errorf("%q", out)
	}
}
