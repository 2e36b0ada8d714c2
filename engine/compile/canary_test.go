package compile

import (
	"encoding/base32"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/spec"
)

func withCanaries() Options {
	o := options()
	o.Canary = spec.Key("0123456789abcdef0123456789abcdef").Canary
	return o
}

// planted is the canary that a bottle's environment has.
func planted(s *spec.Spec) string {
	for _, e := range s.Fixed.Env {
		if e.Name == spec.CanaryEnv && e.Kind == spec.EnvBB {
			return e.Value
		}
	}
	return ""
}

func TestCanary(t *testing.T) {
	specs := specsOf(t, fleet(), withCanaries())
	adHoc, problems := AdHoc(fleet()[0], withCanaries(), "x1")
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	seen := map[string]bool{}
	for _, s := range append(specs, adHoc.Specs...) {
		if len(s.Canary) < 30 || planted(s) != s.Canary || seen[s.Canary] {
			t.Errorf("%s: canary %q, planted %q", s.ID, s.Canary, planted(s))
		}
		seen[s.Canary] = true
		if !slices.IsSortedFunc(s.Fixed.Env, func(a, b spec.Env) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%s: the environment is not sorted", s.ID)
		}
		if doc := s.Document(spec.Secrets{}, nil); doc.Canary != s.Canary {
			t.Errorf("%s: the document has %q", s.ID, doc.Canary)
		}
	}
	if again := specsOf(t, fleet(), withCanaries()); again[0].Canary != specs[0].Canary {
		t.Error("another canary after another compilation")
	}
}

// A bottle of a bb that planted none is no other bottle: nothing that a plan
// compares, stores or shows knows of it.
func TestCanaryIsNoDifference(t *testing.T) {
	k := spec.Key("0123456789abcdef0123456789abcdef")
	with, without := specsOf(t, fleet(), withCanaries())[0], specsOf(t, fleet(), options())[0]
	if without.Canary != "" || planted(without) != "" {
		t.Fatal("there is a canary without a key")
	}
	if with.Hash(k) != without.Hash(k) || with.Rules().Digest() != without.Rules().Digest() {
		t.Error("the canary changes a hash")
	}
	if d := cmp.Diff(without.LiveHashes(), with.LiveHashes()); d != "" {
		t.Error(d)
	}
	if js := with.FixedJSON(k); strings.Contains(js, spec.CanaryEnv) || strings.Contains(js, with.Canary) {
		t.Errorf("a label would show it: %s", js)
	}
}

// It is random enough, in one word, and of no public format: those have
// prefixes of their own, or are hexadecimal of a usual length.
func TestCanaryForm(t *testing.T) {
	for _, instance := range []string{"bb-a-012345", "bb-a_2-012345", "bb-b-012345"} {
		canary := spec.Key("key").Canary(instance)
		random, ok := strings.CutPrefix(canary, "bkadm_")
		if raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(random)); !ok || err != nil || len(raw) != 20 {
			t.Errorf("%s: %q, %v", instance, canary, err)
		}
		if strings.Trim(random, "0123456789abcdef") == "" {
			t.Errorf("%s: %q looks like a digest", instance, canary)
		}
	}
	if got := spec.Key(nil).Canary("x"); got != "" {
		t.Errorf("%q without a key: everybody could tell it", got)
	}
}

func TestParent(t *testing.T) {
	for name, tt := range map[string]struct {
		url, ref string
		parent   *egress.Parent
		tokens   map[string]string
	}{
		"none":                 {"", "", nil, map[string]string{"EGRESS_TOKEN_0": "TOKEN"}},
		"without a credential": {"http://p.example.com:3128", "", &egress.Parent{URL: "http://p.example.com:3128"}, map[string]string{"EGRESS_TOKEN_0": "TOKEN"}},
		"a slot of its own": {
			"http://p.example.com:3128", "PROXY", &egress.Parent{URL: "http://p.example.com:3128", Slot: "EGRESS_TOKEN_1"},
			map[string]string{"EGRESS_TOKEN_0": "TOKEN", "EGRESS_TOKEN_1": "PROXY"},
		},
		"the slot of a route": {
			"https://p.example.com:443", "TOKEN", &egress.Parent{URL: "https://p.example.com:443", Slot: "EGRESS_TOKEN_0"},
			map[string]string{"EGRESS_TOKEN_0": "TOKEN"},
		},
	} {
		s := specsOf(t, fleet(func(a *manifest.Agent) { a.Bottle.Egress.ParentURL, a.Bottle.Egress.ParentRef = tt.url, tt.ref }), options())[0]
		if d := cmp.Diff(tt.parent, s.Live.Parent); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if d := cmp.Diff(tt.tokens, s.Live.Tokens); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if doc := s.Document(spec.Secrets{}, nil); len(doc.Tokens) != len(tt.tokens) || cmp.Diff(tt.parent, doc.Parent) != "" {
			t.Errorf("%s: the document has %+v, %v", name, doc.Parent, doc.Tokens)
		}
	}
}
