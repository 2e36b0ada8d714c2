package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// DescribeRemote is where a remote leads and what an agent may change there, on
// one line for people: "git.example.com:22   push refs/heads/agent/*  tags".
func DescribeRemote(r egress.Remote) string {
	return remoteHost(r.Upstream) + "   " + DescribePush(r.Push)
}

// remoteHost is HOST:PORT of an upstream.
func remoteHost(upstream string) string {
	u, err := egress.ParseUpstream(upstream)
	if err != nil {
		return "(unknown)"
	}
	return egress.Authority(u.Host, u.Port, 0)
}

// DescribePush is a remote's push rules on one line, for people. The protected
// paths are told where they are not the default ones.
func DescribePush(p egress.Push) string {
	if p.Off {
		return "no push"
	}
	words := []string{"push " + allowed(p)}
	for _, flag := range []struct {
		name string
		on   bool
	}{{"force", p.Force}, {"delete", p.Delete}, {"tags", p.Tags}} {
		if flag.on {
			words = append(words, flag.name)
		}
	}
	switch n := len(p.Protect); {
	case n == 0:
		words = append(words, "protects nothing")
	case slices.Equal(p.Protect, egress.DefaultProtect):
	case n == 1:
		words = append(words, "protects 1 path")
	default:
		words = append(words, fmt.Sprintf("protects %d paths", n))
	}
	return strings.Join(words, "  ")
}

func allowed(p egress.Push) string {
	if len(p.Allow) == 0 {
		return "refs/heads/* but the default branch"
	}
	return strings.Join(p.Allow, ", ")
}

// DescribeProtect is the list of protected paths, for people.
func DescribeProtect(p egress.Push) string {
	switch {
	case len(p.Protect) == 0:
		return "nothing"
	case slices.Equal(p.Protect, egress.DefaultProtect):
		return "the default paths"
	}
	return strings.Join(p.Protect, ", ")
}

// diffRemotes compares what a sidecar serves with what it should.
func diffRemotes(before []egress.Remote, s *spec.Spec) []FieldDiff {
	a, b := map[string]egress.Remote{}, map[string]egress.Remote{}
	names := map[string]bool{}
	for _, r := range before {
		a[r.Name], names[r.Name] = r, true
	}
	for _, r := range s.Live.Remotes {
		b[r.Name], names[r.Name] = r, true
	}
	var out []FieldDiff
	for _, n := range slices.Sorted(maps.Keys(names)) {
		was, had := a[n]
		is, has := b[n]
		path := "git.remotes." + n
		switch {
		case !had:
			out = append(out, FieldDiff{Kind: Added, Path: path, New: DescribeRemote(is)})
		case !has:
			out = append(out, FieldDiff{Kind: Removed, Path: path, Old: DescribeRemote(was)})
		default:
			out = append(out, diffRemote(path, was, is)...)
		}
	}
	return out
}

// diffRemote says nothing of credentials: which one it was is known to the host
// only, and a slot is no word of a manifest.
func diffRemote(path string, was, is egress.Remote) []FieldDiff {
	var out []FieldDiff
	field := func(name, before, after string) {
		if before != after {
			out = append(out, FieldDiff{Kind: Changed, Path: path + "." + name, Old: before, New: after})
		}
	}
	field("upstream", was.Upstream, is.Upstream)
	if was.HostKey != is.HostKey {
		out = append(out, FieldDiff{Kind: Changed, Path: path + ".known_host_key", Opaque: true})
	}
	if was.Push.Off != is.Push.Off {
		field("push", DescribePush(was.Push), DescribePush(is.Push))
		return out
	}
	field("push.allow", allowed(was.Push), allowed(is.Push))
	field("push.force", fmt.Sprint(was.Push.Force), fmt.Sprint(is.Push.Force))
	field("push.delete", fmt.Sprint(was.Push.Delete), fmt.Sprint(is.Push.Delete))
	field("push.tags", fmt.Sprint(was.Push.Tags), fmt.Sprint(is.Push.Tags))
	field("push.protect", DescribeProtect(was.Push), DescribeProtect(is.Push))
	return out
}
