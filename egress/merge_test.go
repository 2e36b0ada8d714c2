package egress

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func r(host string, source string, f ...func(*Route)) Route {
	route := Route{Host: host, Port: 443, Source: source}
	for _, g := range f {
		g(&route)
	}
	return route
}

func bearer(ref string) func(*Route) {
	return func(r *Route) { r.Auth = &Auth{Scheme: "Bearer", TokenRef: ref} }
}

func under(paths ...string) func(*Route) {
	return func(r *Route) { r.Matches = append(r.Matches, Match{Paths: paths}) }
}

func passthrough(r *Route) { r.TLSPassthrough = true }

func strip(names ...string) func(*Route) { return func(r *Route) { r.Strip = names } }

// The six cases of the design, section 6.
func TestMerge(t *testing.T) {
	tests := map[string]struct {
		manifest, provider, want []Route
		err                      []string
	}{
		"1 appended": {
			manifest: []Route{r("b.example", "m")},
			provider: []Route{r("a.example", "p", bearer("T"), passthrough)},
			want:     []Route{r("b.example", "m"), r("a.example", "p", bearer("T"), passthrough)},
		},
		"1 with a wildcard's limits": {
			manifest: []Route{r("**.example", "m", under("/all")), r("*.example", "m", under("/v1"), func(r *Route) { r.MaxBody = 9 })},
			provider: []Route{r("a.example", "p", bearer("T"))},
			want: []Route{
				r("**.example", "m", under("/all")),
				r("*.example", "m", under("/v1"), func(r *Route) { r.MaxBody = 9 }),
				r("a.example", "p", bearer("T"), under("/v1"), func(r *Route) { r.MaxBody = 9 }),
			},
		},
		"1 limits on both sides": {
			manifest: []Route{r("*.example", "m", under("/v1/x", "/v2"))},
			provider: []Route{r("a.example", "p", under("/v1"))},
			want:     []Route{r("*.example", "m", under("/v1/x", "/v2")), r("a.example", "p", under("/v1/x"))},
		},
		"1 nothing in common": {
			manifest: []Route{r("*.example", "bottle dev.md:3", under("/v2"))},
			provider: []Route{r("a.example", "provider claude", under("/v1"))},
			err:      []string{"bottle dev.md:3", "provider claude"},
		},
		"1 another port": {
			manifest: []Route{{Host: "a.example", Port: 80, Source: "m"}},
			provider: []Route{r("a.example", "p")},
			want:     []Route{{Host: "a.example", Port: 80, Source: "m"}, r("a.example", "p")},
		},
		"2 adopted": {
			manifest: []Route{r("a.example", "m", under("/v1"))},
			provider: []Route{r("a.example", "p", bearer("T"), under("/v2"), strip("x-p"))},
			want:     []Route{r("a.example", "m", under("/v1"), bearer("T"), strip("x-p"))},
		},
		"3 the same": {
			manifest: []Route{r("a.example", "m", bearer("T"))},
			provider: []Route{r("a.example", "p", bearer("T"), func(r *Route) { r.Auth.Header = "authorization" })},
			want:     []Route{r("a.example", "m", bearer("T"))},
		},
		"4 the manifest's stays": {
			manifest: []Route{r("a.example", "m", bearer("T"))},
			provider: []Route{r("a.example", "p")},
			want:     []Route{r("a.example", "m", bearer("T"))},
		},
		"5 passthrough in every case": {
			manifest: []Route{r("a.example", "m", bearer("T")), r("b.example", "m")},
			provider: []Route{r("a.example", "p", passthrough), r("b.example", "p", passthrough)},
			want:     []Route{r("a.example", "m", bearer("T"), passthrough), r("b.example", "m", passthrough)},
		},
		"6 two auths": {
			manifest: []Route{r("a.example", "bottle dev.md:3", bearer("T"))},
			provider: []Route{r("a.example", "provider claude", bearer("U"))},
			err:      []string{"bottle dev.md:3", "provider claude"},
		},
		"declared twice": {
			manifest: []Route{r("a.example", "dev.md:3"), r("a.example", "dev.md:5")},
			err:      []string{"dev.md:3", "dev.md:5"},
		},
		"tunnel and auth": {
			manifest: []Route{r("a.example", "dev.md:3", func(r *Route) { r.Tunnel = true })},
			provider: []Route{r("a.example", "provider claude", bearer("T"))},
			err:      []string{"dev.md:3", "provider claude"},
		},
	}
	for name, tt := range tests {
		got, err := Merge(tt.manifest, tt.provider)
		if tt.err == nil && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range tt.err {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got error %v, want %q in it", name, err, want)
			}
		}
		if diff := cmp.Diff(tt.want, got); tt.err == nil && diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMergeSharesNothing(t *testing.T) {
	manifest := []Route{r("a.example", "m", under("/v1"))}
	provider := []Route{r("a.example", "p", bearer("T")), r("b.example", "p", bearer("T"))}
	got, err := Merge(manifest, provider)
	if err != nil {
		t.Fatal(err)
	}
	got[0].Matches[0].Paths[0], got[0].Auth.TokenRef, got[1].Auth.TokenRef = "/x", "X", "X"
	if manifest[0].Auth != nil || manifest[0].Matches[0].Paths[0] != "/v1" || provider[0].Auth.TokenRef != "T" || provider[1].Auth.TokenRef != "T" {
		t.Error("the inputs were changed")
	}
}

func TestSlots(t *testing.T) {
	routes := []Route{r("a", "m", bearer("T")), r("b", "m"), r("c", "m", bearer("U")), r("d", "m", bearer("T"))}
	slotted, refs := Slots(routes)
	if diff := cmp.Diff([]SlotRef{{"EGRESS_TOKEN_0", "T"}, {"EGRESS_TOKEN_1", "U"}}, refs); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, s := range slotted {
		if s.Auth != nil {
			got = append(got, s.Auth.Slot+s.Auth.TokenRef)
		}
	}
	if diff := cmp.Diff([]string{"EGRESS_TOKEN_0", "EGRESS_TOKEN_1", "EGRESS_TOKEN_0"}, got); diff != "" {
		t.Error(diff)
	}
	if routes[0].Auth.TokenRef != "T" {
		t.Error("the input was changed")
	}
}

func TestSlotOf(t *testing.T) {
	_, refs := Slots([]Route{r("a", "m", bearer("T")), r("b", "m", bearer("U"))})
	for ref, want := range map[string]struct {
		slot string
		all  int
	}{"U": {"EGRESS_TOKEN_1", 2}, "V": {"EGRESS_TOKEN_2", 3}} {
		if slot, all := SlotOf(refs, ref); slot != want.slot || len(all) != want.all || all[len(all)-1].Slot == "" {
			t.Errorf("%s: %s, %v", ref, slot, all)
		}
	}
}

// Attack D6, and that no error shows a value.
func TestResolveTokens(t *testing.T) {
	const one, two = "one-of-12-by", "user:password"
	refs := []SlotRef{{"EGRESS_TOKEN_0", "A"}, {"EGRESS_TOKEN_1", "B"}}
	for name, tt := range map[string]struct {
		values map[string]string
		err    string
	}{
		"fine":  {map[string]string{"A": one, "B": two}, ""},
		"unset": {map[string]string{"A": one}, "token B is not set"},
		"empty": {map[string]string{"A": one, "B": ""}, "token B is empty"},
		"CR":    {map[string]string{"A": one, "B": "long-enough-hush\r"}, "token B: the value has a line break"},
		"LF":    {map[string]string{"A": one, "B": "long-enough-hush\nX: y"}, "token B: the value has a line break"},
		"NUL":   {map[string]string{"A": one, "B": "long-enough-hush\x00"}, "token B: the value has a line break"},
		"short": {map[string]string{"A": one, "B": "hush-567890"}, "token B is shorter than 12 bytes"},
	} {
		got, err := ResolveTokens(refs, func(ref string) (string, error) {
			v, ok := tt.values[ref]
			if !ok {
				return "", ErrUnset
			}
			return v, nil
		})
		if tt.err == "" {
			if diff := cmp.Diff(map[string]string{"EGRESS_TOKEN_0": one, "EGRESS_TOKEN_1": two}, got); err != nil || diff != "" {
				t.Errorf("%s: %v %s", name, err, diff)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "hush") || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
