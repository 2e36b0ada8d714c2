package manifest

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

// chain loads base <- dev and returns dev.
func chain(t *testing.T, base, dev string) *Bottle {
	t.Helper()
	fleet := loaded(t, tree(t, map[string]string{
		"home/bottles/base.md": md(base), "home/bottles/dev.md": md("extends: base\n" + dev),
	}))
	return fleet.Bottles["dev"]
}

func TestMerge(t *testing.T) {
	route := func(host, source string) egress.Route {
		return egress.Route{Host: host, Port: 443, Source: source}
	}
	for _, c := range []struct {
		name, base, dev string
		get             func(*Bottle) any
		want            any
	}{
		{"env merges by name and the child wins", "env: {A: base, B: base}", "env: {B: dev, C: dev}", envValues, "A=base B=dev C=dev"},
		{"an empty env clears nothing", "env: {A: base}", "env: {}", envValues, "A=base"},
		{"env of the parent alone", "env: {A: base}", "", envValues, "A=base"},
		{"identity merges by field", "git_user: {name: N, email: e@base}", "git_user: {email: e@dev}", identity, "N e@dev"},
		{"an empty field of an identity does not win", "git_user: {name: N, email: e@base}", `git_user: {name: "", email: e@dev}`, identity, "N e@dev"},
		{"the nested spelling is the same field", "git: {user: {name: N}}", "git_user: {email: e@dev}", identity, "N e@dev"},
		{"a nested child wins over a flat parent", "git_user: {name: N}", "git: {user: {name: M}}", identity, "M "},
		{"egress is replaced as a whole", "egress: {network: n, routes: [{host: a.example.com}]}", "egress: {routes: [{host: b.example.com}]}", routesOf, []egress.Route{route("b.example.com", "bottle dev.md:3")}},
		{"an empty egress clears", "egress: {network: n, routes: [{host: a.example.com}]}", "egress: {}", routesOf, []egress.Route(nil)},
		{"an empty list of routes clears", "egress: {routes: [{host: a.example.com}]}", "egress: {routes: []}", routesOf, []egress.Route(nil)},
		{"egress of the parent keeps its source", "egress:\n  routes:\n    - host: a.example.com", "", routesOf, []egress.Route{route("a.example.com", "bottle base.md:4")}},
		{"network goes with its egress", "egress: {network: n}", "egress: {}", func(b *Bottle) any { return b.Egress.Network }, ""},
		{"provider is replaced as a whole", "agent_provider: {template: shell, image: i}", "agent_provider: {}", func(b *Bottle) any { return b.Provider.Template + b.Provider.Image }, "claude"},
		{"provider of the parent", "agent_provider: {template: shell}", "", func(b *Bottle) any { return b.Provider.Template }, "shell"},
		{"no provider anywhere", "", "", func(b *Bottle) any { return b.Provider.Template }, "claude"},
		{"backend of the parent", "backend: docker", "", func(b *Bottle) any { return b.Backend }, "docker"},
		{"resources are replaced as a whole", "resources: {cpus: 1, memory: 1GiB}", "resources: {memory: 512MiB}", func(b *Bottle) any { return b.Resources }, Resources{Memory: 512 << 20}},
		{"resources of the parent", "resources: {cpus: 0.5, memory: 1TiB, pids: 99}", "", func(b *Bottle) any { return b.Resources }, Resources{CPUs: 0.5, Memory: 1 << 40, PIDs: 99}},
		{"workspace is replaced as a whole", "workspace: {mode: none, guest_path: /w}", "workspace: {}", func(b *Bottle) any { return b.Workspace }, Workspace{Mode: "none"}},
		{"supervise of the parent", "supervise: false", "", func(b *Bottle) any { return b.From["supervise"].Line }, 2},
		{"supervise of the child", "supervise: false", "supervise: false", func(b *Bottle) any { return b.From["supervise"].Line }, 3},
		{"remotes cleared", "git: {remotes: {}}", "git: {remotes: {}}", func(b *Bottle) any { return b.From["git.remotes"].Line }, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.get(chain(t, c.base, c.dev))); diff != "" {
				t.Errorf("merged (-want +got):\n%s", diff)
			}
		})
	}
}

func envValues(b *Bottle) any {
	var out []string
	for _, v := range b.Env {
		out = append(out, v.Name+"="+v.Value)
	}
	return strings.Join(out, " ")
}

func identity(b *Bottle) any { return b.GitUser.Name + " " + b.GitUser.Email }
func routesOf(b *Bottle) any { return b.Egress.Routes }

// The rules for keys that a manifest cannot use yet are judged on values.
func TestPolicyOver(t *testing.T) {
	yes, no := part[bool]{value: true, set: true}, part[bool]{set: true}
	some := part[[]Remote]{value: []Remote{{Name: "origin"}}, set: true}
	none := part[[]Remote]{set: true}
	for _, c := range []struct {
		name          string
		child, parent *policy
		supervise     bool
		remotes       int
	}{
		{"false in a child overrides true", &policy{supervise: no}, &policy{supervise: yes}, false, 0},
		{"true in a child overrides false", &policy{supervise: yes}, &policy{supervise: no}, true, 0},
		{"what is not declared comes from the parent", &policy{}, &policy{supervise: yes, remotes: some}, true, 1},
		{"an explicit empty map clears remotes", &policy{remotes: none}, &policy{remotes: some}, false, 0},
		{"remotes are replaced", &policy{remotes: some}, &policy{remotes: none}, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.child.over(c.parent)
			if got.supervise.value != c.supervise || len(got.remotes.value) != c.remotes {
				t.Errorf("supervise %v, %d remotes; want %v, %d", got.supervise.value, len(got.remotes.value), c.supervise, c.remotes)
			}
		})
	}
}

func TestMergeLeavesTheParentAlone(t *testing.T) {
	fleet := loaded(t, tree(t, map[string]string{
		"home/bottles/base.md": md("env: {A: base}"),
		"home/bottles/dev.md":  md("extends: base\nenv: {A: dev, B: dev}"),
	}))
	if got := envValues(fleet.Bottles["base"]); got != "A=base" {
		t.Errorf("base has %v", got)
	}
}

func TestExtendsListFoldsLeftToRight(t *testing.T) {
	fleet := loaded(t, tree(t, map[string]string{
		"home/bottles/root.md": md("env: {A: root, B: root, C: root, D: root}\negress: {network: root}"),
		"home/bottles/l.md":    md("extends: root\nenv: {A: l, B: l, C: l}\negress: {network: l}"),
		"home/bottles/r.md":    md("extends: root\nenv: {B: r}"),
		"home/bottles/dev.md":  md("extends: [l, r]\nenv: {C: dev}"),
	}))
	dev := fleet.Bottles["dev"]
	// r brings root's values along: a parent counts with all it inherited.
	if diff := cmp.Diff("A=root B=r C=dev D=root", envValues(dev)); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	if dev.Egress.Network != "root" {
		t.Errorf("network %q", dev.Egress.Network)
	}
	if diff := cmp.Diff([]string{"dev", "l", "r", "root"}, dev.Lineage); diff != "" {
		t.Errorf("lineage (-want +got):\n%s", diff)
	}
}

func TestProvenance(t *testing.T) {
	dev := chain(t, "env:\n  A: a\n  B: b\ngit: {user: {name: N}}\nsupervise: false\nresources:\n  cpus: 1\n  pids: 64",
		"env:\n  B: c\nbackend: docker\negress:\n  routes:\n    - host: a.example.com\n      matches:\n        - methods: [GET]")
	want := map[string]Pos{
		"extends":        {"home/bottles/dev.md", 2},
		"resources":      {"home/bottles/base.md", 7},
		"resources.cpus": {"home/bottles/base.md", 8},
		"resources.pids": {"home/bottles/base.md", 9},
		"egress":         {"home/bottles/dev.md", 6},
		"egress.routes":  {"home/bottles/dev.md", 7},

		"egress.routes[0]":                       {"home/bottles/dev.md", 8},
		"egress.routes[0].host":                  {"home/bottles/dev.md", 8},
		"egress.routes[0].matches":               {"home/bottles/dev.md", 9},
		"egress.routes[0].matches[0]":            {"home/bottles/dev.md", 10},
		"egress.routes[0].matches[0].methods":    {"home/bottles/dev.md", 10},
		"egress.routes[0].matches[0].methods[0]": {"home/bottles/dev.md", 10},

		"env.A":         {"home/bottles/base.md", 3},
		"env.B":         {"home/bottles/dev.md", 4},
		"git_user.name": {"home/bottles/base.md", 5},
		"supervise":     {"home/bottles/base.md", 6},
		"backend":       {"home/bottles/dev.md", 5},
	}
	if diff := cmp.Diff(want, maps.Clone(dev.From)); diff != "" {
		t.Errorf("provenance (-want +got):\n%s", diff)
	}
	if dev.Env[1].From != want["env.B"] {
		t.Errorf("env.B is from %v", dev.Env[1].From)
	}
}
