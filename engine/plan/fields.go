package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// diffFixed compares two canonical JSON forms field by field. Environment
// values are digests or provider constants: only names are shown.
func diffFixed(before, after string) []FieldDiff {
	var a, b spec.Fixed
	if json.Unmarshal([]byte(before), &a) != nil || json.Unmarshal([]byte(after), &b) != nil {
		return []FieldDiff{{Kind: Changed, Path: "spec", Opaque: true}}
	}
	var out []FieldDiff
	field := func(path, was, is string) {
		if was != is {
			out = append(out, FieldDiff{Kind: Changed, Path: path, Old: was, New: is})
		}
	}
	field("backend", a.Backend, b.Backend)
	field("agent_provider.template", a.Provider, b.Provider)
	out = append(out, diffEnv(a.Env, b.Env)...)
	field("resources.cpus", fmt.Sprint(a.Resources.CPUs), fmt.Sprint(b.Resources.CPUs))
	field("resources.memory", fmt.Sprint(a.Resources.Memory), fmt.Sprint(b.Resources.Memory))
	field("resources.disk", fmt.Sprint(a.Resources.Disk), fmt.Sprint(b.Resources.Disk))
	field("resources.pids", fmt.Sprint(a.Resources.PIDs), fmt.Sprint(b.Resources.PIDs))
	field("workspace.mode", a.Workspace.Mode, b.Workspace.Mode)
	field("workspace.path", a.Workspace.Path, b.Workspace.Path)
	field("workspace.guest_path", a.Workspace.GuestPath, b.Workspace.GuestPath)
	field("supervise", fmt.Sprint(a.Supervise), fmt.Sprint(b.Supervise))
	if a.Files != b.Files {
		out = append(out, FieldDiff{Kind: Changed, Path: "files", Opaque: true})
	}
	if len(out) == 0 {
		out = append(out, FieldDiff{Kind: Changed, Path: "spec", Opaque: true}) // another version's form
	}
	return out
}

func diffEnv(before, after []spec.Env) []FieldDiff {
	a, b := byName(before), byName(after)
	names := slices.Sorted(maps.Keys(a))
	for n := range b {
		if _, ok := a[n]; !ok {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var out []FieldDiff
	for _, n := range names {
		was, had := a[n]
		is, has := b[n]
		switch {
		case !had:
			out = append(out, FieldDiff{Kind: Added, Path: "env." + n})
		case !has:
			out = append(out, FieldDiff{Kind: Removed, Path: "env." + n})
		case was != is:
			out = append(out, FieldDiff{Kind: Changed, Path: "env." + n, Opaque: true})
		}
	}
	return out
}

func byName(env []spec.Env) map[string]spec.Env {
	m := make(map[string]spec.Env, len(env))
	for _, e := range env {
		m[e.Name] = e
	}
	return m
}

// diffPart says which fields of a live part differ. Only egress and git are kept
// in the sidecar in readable form; of the others a hash is known.
func diffPart(part string, s *spec.Spec, live *egress.Document) []FieldDiff {
	switch part {
	case spec.PartEgress:
		if live == nil {
			return []FieldDiff{{Kind: Changed, Path: "egress.routes", Opaque: true}}
		}
		return orOpaque(diffEgress(live, s), "egress") // an order, or a slot's reference
	case spec.PartGit:
		if live == nil {
			return orOpaque(nil, "git.remotes")
		}
		return orOpaque(diffRemotes(live.Remotes, s), "git.remotes") // a credential's reference
	case spec.PartIdentity:
		return []FieldDiff{{Kind: Changed, Path: "git_user", Opaque: true}}
	default:
		return []FieldDiff{{Kind: Changed, Path: part, Opaque: true}}
	}
}

// diffRules is all that differs of what a sidecar enforces.
func diffRules(live *egress.Document, s *spec.Spec) []FieldDiff {
	if live == nil {
		return diffPart(spec.PartEgress, s, nil)
	}
	return orOpaque(append(diffEgress(live, s), diffRemotes(live.Remotes, s)...), "egress")
}

func orOpaque(d []FieldDiff, path string) []FieldDiff {
	if len(d) == 0 {
		return []FieldDiff{{Kind: Changed, Path: path, Opaque: true}}
	}
	return d
}

func diffEgress(live *egress.Document, s *spec.Spec) []FieldDiff {
	out := diffRoutes(live.Routes, s)
	if live.UpstreamCA != s.Live.UpstreamCA && live.UpstreamCA != egress.RootsDigest(s.Live.UpstreamCA) {
		out = append(out, FieldDiff{Kind: Changed, Path: "egress.upstream_ca", Opaque: true})
	}
	// Which token it was is known to the host only, as with routes.
	was, is := DescribeParent(live.Parent, nil), DescribeParent(s.Live.Parent, nil)
	if was != is {
		if live.Parent == nil {
			is = DescribeParent(s.Live.Parent, s.Live.Tokens)
		}
		out = append(out, FieldDiff{Kind: Changed, Path: "egress.parent", Old: was, New: is})
	}
	if live.Pipelock != s.Gate.Pipelock {
		out = append(out, FieldDiff{
			Kind: Changed, Path: "egress.pipelock", Old: fmt.Sprint(live.Pipelock), New: fmt.Sprint(s.Gate.Pipelock),
		})
	}
	return out
}

func diffRoutes(before []egress.Route, s *spec.Spec) []FieldDiff {
	key := func(r egress.Route) string { // of a host there are one declared route, and those approved beside it
		at := fmt.Sprintf("%s:%d", r.Host, r.Port)
		if len(r.Approved) > 0 {
			at += " approved"
			if !r.Expires.IsZero() {
				at += " until " + r.Expires.UTC().Format(time.RFC3339)
			}
		}
		return at
	}
	a, b := map[string]egress.Route{}, map[string]egress.Route{}
	var names []string
	for _, r := range before {
		a[key(r)] = r
		names = append(names, key(r))
	}
	for _, r := range s.Live.Routes {
		b[key(r)] = r
		names = append(names, key(r))
	}
	slices.Sort(names)
	var out []FieldDiff
	for _, n := range slices.Compact(names) {
		was, had := a[n]
		is, has := b[n]
		path := "egress.routes[" + n + "]"
		switch {
		case !had:
			out = append(out, FieldDiff{Kind: Added, Path: path, New: Describe(is, s.Live.Tokens)})
		case !has:
			out = append(out, FieldDiff{Kind: Removed, Path: path, Old: Describe(was, nil)})
		default:
			several := len(was.Matches) > 1 || len(is.Matches) > 1
			var refs map[string]string // which token it was is known to the host only
			if was.Auth == nil {
				refs = s.Live.Tokens
			}
			out = append(out, diffAttributes(path, everything(was, nil, several), everything(is, refs, several))...)
		}
	}
	return out
}

func diffAttributes(path string, a, b []attribute) []FieldDiff {
	was := map[string]string{}
	for _, x := range a {
		was[x.name] = x.value
	}
	var out []FieldDiff
	for _, x := range b {
		if was[x.name] != x.value {
			out = append(out, FieldDiff{Kind: Changed, Path: path + "." + x.name, Old: was[x.name], New: x.value})
		}
		delete(was, x.name)
	}
	for _, n := range slices.Sorted(maps.Keys(was)) {
		out = append(out, FieldDiff{Kind: Changed, Path: path + "." + n, Old: was[n]})
	}
	return out
}

type attribute struct{ name, value string }

// everything is what differs of two routes: more than a plan shows of one.
func everything(r egress.Route, refs map[string]string, several bool) []attribute {
	out := attributes(r, refs, several)
	if len(r.Strip) > 0 {
		out = append(out, attribute{"strip", strings.Join(r.Strip, ", ")})
	}
	if r.DLP != nil && r.DLP.Patterns != "" {
		out = append(out, attribute{"dlp.patterns", r.DLP.Patterns})
	}
	return out
}

// attributes lists what a route says beyond its host and port, in the words
// of the manifest. refs maps a slot to the name of its token reference;
// several matches are told as one, since what one allows the other may not.
func attributes(r egress.Route, refs map[string]string, several bool) []attribute {
	var out []attribute
	add := func(name, value string) {
		if value != "" {
			out = append(out, attribute{name, value})
		}
	}
	flag := func(name string, on bool) {
		if on {
			add(name, "yes")
		}
	}
	if r.Auth != nil {
		add("auth", strings.TrimSpace(r.Auth.Scheme+" "+reference(r.Auth.Slot, refs)))
		add("header", r.Auth.Header)
		add("query", r.Auth.Query)
	}
	var matches []string
	for _, m := range r.Matches {
		methods, paths := strings.Join(m.Methods, ", "), strings.Join(m.Paths, ", ")
		if several {
			matches = append(matches, cmp.Or(methods, "any method")+" on "+cmp.Or(paths, "any path"))
			continue
		}
		add("methods", methods)
		add("paths", paths)
	}
	add("matches", strings.Join(matches, "; "))
	flag("tls_passthrough", r.TLSPassthrough)
	flag("git.fetch", r.GitFetch)
	flag("websocket", r.WebSocket)
	flag("not inspected", r.Tunnel)
	add("ssrf_ip_allowlist", strings.Join(r.SSRFIPAllowlist, ", "))
	if r.MaxBody > 0 {
		add("max_body", Bytes(r.MaxBody))
	}
	if r.DLP != nil {
		add("dlp.on_match", r.DLP.OnMatch)
		flag("dlp.stream", r.DLP.Stream)
	}
	if !r.Expires.IsZero() {
		add("expires", r.Expires.UTC().Format(time.RFC3339))
	}
	return out
}

func reference(slot string, refs map[string]string) string {
	if ref, ok := refs[slot]; ok {
		return egress.ParseRef(ref).String()
	}
	return ""
}

// Describe is a route's attributes on one line, for people.
func Describe(r egress.Route, refs map[string]string) string {
	var words []string
	for _, a := range attributes(r, refs, len(r.Matches) > 1) {
		name, _ := strings.CutSuffix(strings.Replace(a.name, "dlp.", "dlp ", 1), " on_match")
		if a.value == "yes" {
			words = append(words, name)
		} else {
			words = append(words, name+" "+a.value)
		}
	}
	return strings.Join(words, "  ")
}

// DescribeParent is a parent proxy on one line, for people: "HOST:PORT", or its
// URL where that is https, and whether it wants a credential. refs is that of
// Describe.
func DescribeParent(p *egress.Parent, refs map[string]string) string {
	if p == nil {
		return ""
	}
	text := strings.TrimPrefix(p.URL, "http://")
	if p.Slot != "" {
		text = strings.TrimSpace(text + " auth " + reference(p.Slot, refs))
	}
	return text
}

// Bytes is a size as manifests take it: exactly, in the largest unit that
// divides it.
func Bytes(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return fmt.Sprint(n)
}
