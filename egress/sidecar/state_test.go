package sidecar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

type edit = func(*egress.Document)

func TestApplySwapsAndAnnounces(t *testing.T) {
	var out bytes.Buffer
	proxy := &fakeProxy{}
	s := newState(proxy, Options{Stdout: &out, Build: "v9"})
	if err := s.apply(document(func(d *egress.Document) { d.UpstreamCA, d.Canary = "PEM", "the canary's value" })); err != nil {
		t.Fatal(err)
	}
	want := `{"bb":1,"state":"configured","build":"v9","live":{"egress":"v1:aa"},"tokens":{"EGRESS_TOKEN_0":"d0"},"rules":"58ab786906ee4490612efa214dc82539"}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("state line (-want +got)\n%s", diff)
	}
	if got := proxy.last(); got.Tokens["EGRESS_TOKEN_0"].Value != secretValue || got.UpstreamCA != "PEM" {
		t.Errorf("the proxy got %+v", got)
	}
	shown := s.document()
	if diff := cmp.Diff(map[string]egress.Token{"EGRESS_TOKEN_0": {Digest: "d0"}}, shown.Tokens); diff != "" {
		t.Errorf("shown tokens (-want +got)\n%s", diff)
	}
	if got := proxy.last().Canary; got != "the canary's value" || shown.Canary != "" {
		t.Errorf("the proxy got the canary %q, get shows %q", got, shown.Canary)
	}
	if !strings.HasPrefix(shown.UpstreamCA, "sha256:") {
		t.Errorf("shown roots %q", shown.UpstreamCA)
	}
}

func TestKeep(t *testing.T) {
	proxy := &fakeProxy{}
	s := newState(proxy, Options{})
	if err := s.apply(document(nil)); err != nil {
		t.Fatal(err)
	}
	// The value moves to another slot; its own gets a new one.
	err := s.apply(document(func(d *egress.Document) {
		d.Tokens = map[string]egress.Token{
			"EGRESS_TOKEN_0": {Value: "some new value", Digest: "d1"},
			"EGRESS_TOKEN_1": {Keep: "d0"},
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]egress.Token{
		"EGRESS_TOKEN_0": {Value: "some new value", Digest: "d1"},
		"EGRESS_TOKEN_1": {Value: secretValue, Digest: "d0"},
	}
	if diff := cmp.Diff(want, proxy.last().Tokens); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// A value left out of a document is forgotten with it.
	if err := s.apply(document(func(d *egress.Document) { d.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: "the third one"} })); err != nil {
		t.Fatal(err)
	}
	err = s.apply(document(func(d *egress.Document) { d.Tokens["EGRESS_TOKEN_0"] = egress.Token{Keep: "d0"} }))
	if err == nil || !strings.Contains(err.Error(), "not held") {
		t.Errorf("kept a forgotten value: %v", err)
	}
}

// Roots are kept by what a sidecar shows of them, and no others are.
func TestKeepRoots(t *testing.T) {
	proxy := &fakeProxy{}
	s := newState(proxy, Options{})
	roots := func(text string) error {
		return s.apply(document(func(d *egress.Document) { d.UpstreamCA = text }))
	}
	if err := roots(egress.RootsDigest("PEM")); err == nil {
		t.Error("roots were kept that nobody gave")
	}
	if err := roots("PEM"); err != nil {
		t.Fatal(err)
	}
	before := s.rules
	if err := roots(s.document().UpstreamCA); err != nil || proxy.last().UpstreamCA != "PEM" || s.rules != before {
		t.Errorf("%v, the proxy got %q", err, proxy.last().UpstreamCA)
	}
	if err := roots(egress.RootsDigest("other")); err == nil || !strings.Contains(err.Error(), "not in force") || proxy.last().UpstreamCA != "PEM" {
		t.Errorf("other roots: %v", err)
	}
	if err := roots(""); err != nil || proxy.last().UpstreamCA != "" {
		t.Errorf("without: %v, %q", err, proxy.last().UpstreamCA)
	}
	if err := roots(egress.RootsDigest("PEM")); err == nil {
		t.Error("roots came back that were taken away")
	}
}

func TestApplyRefusesAndKeepsTheOld(t *testing.T) {
	good := string(document(nil))
	tok := func(token egress.Token) edit {
		return func(d *egress.Document) { d.Tokens["EGRESS_TOKEN_0"] = token }
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "not one JSON value"},
		{"cut off", []byte(good[:len(good)-1]), "not one JSON value"},
		{"trailing document", []byte(good + good), "not one JSON value"},
		{"trailing garbage", []byte(good + " x"), "not one JSON value"},
		{"list", []byte(`[]`), "wrong type"},
		{"null", []byte(`null`), "version 0"},
		{"value as key", []byte(`{"` + "tok-secret-key" + `":1}`), "unknown field"},
		{"number for a token", []byte(`{"bb":1,"tokens":{"EGRESS_TOKEN_0":{"value":12345678901}}}`), "wrong type"},
		{"bad time", []byte(`{"bb":1,"routes":[{"expires":"tok-secret-time"}]}`), "malformed value"},
		{"key twice", []byte(strings.Replace(good, `{"bb":1`, `{"bb":1,"BB":1`, 1)), "a key occurs twice"},
		{"slot twice", []byte(strings.Replace(good, `"tokens":{`, `"tokens":{"EGRESS_TOKEN_0":{"value":"x"},`, 1)), "a key occurs twice"},
		{"key that folds to another", []byte(strings.Replace(good, `"routes":`, `"route\u017f":[],"routes":`, 1)), "not plain ASCII"},
		{"short value as digest", document(tok(egress.Token{Value: "tok-1", Digest: "tok-1"})), "its own digest"},
		{"version", document(func(d *egress.Document) { d.Version = 2 }), "version 2 is not supported"},
		{"no instance", document(func(d *egress.Document) { d.Instance = "" }), "names no instance"},
		{"other instance", document(func(d *egress.Document) { d.Instance = "bb-other" }), "another instance"},
		{"no token for the slot", document(func(d *egress.Document) { d.Tokens = nil }), "route 0: no token"},
		{"no slot", document(func(d *egress.Document) { d.Routes[0].Auth.Slot = "" }), "route 0: no token"},
		{"token_ref", document(func(d *egress.Document) { d.Routes[0].Auth.TokenRef = "NAME" }), "must stay on the host"},
		{"slot name", document(func(d *egress.Document) { d.Tokens["PATH"] = egress.Token{Value: "x"} }), "not named EGRESS_TOKEN_<n>"},
		{"empty value", document(tok(egress.Token{})), "empty value"},
		{"value and keep", document(tok(egress.Token{Value: "x", Keep: "d0"})), "both a value"},
		{"unknown keep", document(tok(egress.Token{Keep: "d9"})), "not held"},
		{"keep of nothing", document(tok(egress.Token{Digest: "d0"})), "empty value"},
		{"two digests", document(tok(egress.Token{Keep: "d0", Digest: "d1"})), "differs"},
		{"line break", document(tok(egress.Token{Value: "x\r\nHost: evil"})), "line break"},
		{"short value", document(tok(egress.Token{Value: "tok-5678901"})), "the value is shorter than 12 bytes"},
		{"short canary", document(func(d *egress.Document) { d.Canary = "tok-5678901" }), "canary is shorter than 12 bytes"},
		{"parent without its token", document(func(d *egress.Document) { d.Parent = &egress.Parent{URL: "http://p:1", Slot: "EGRESS_TOKEN_9"} }), "parent: no token for its slot"},
		{"NUL", document(tok(egress.Token{Value: "x\x00"})), "control"},
		{"malformed digest", document(tok(egress.Token{Value: "x", Digest: "d\n"})), "malformed digest"},
		{"value as digest", document(tok(egress.Token{Value: "tok-secret-0123", Digest: "x-tok-secret-0123"})), "outside of its slot"},
		{"value in a route", document(func(d *egress.Document) { d.Routes[0].Source = secretValue }), "outside of its slot"},
		{"value in live", document(func(d *egress.Document) { d.Live["x"] = secretValue }), "outside of its slot"},
		{"long line", document(func(d *egress.Document) {
			for i := range 200 {
				d.Live[fmt.Sprint(i)] = strings.Repeat("h", 64)
			}
		}), "state line would be"},
		{"too large", document(func(d *egress.Document) { d.UpstreamCA = strings.Repeat("x", maxDocument) }), "larger than"},
	}
	var out bytes.Buffer
	proxy := &fakeProxy{}
	s := newState(proxy, Options{Stdout: &out})
	if err := s.apply([]byte(good)); err != nil {
		t.Fatal(err)
	}
	before, line := s.document(), out.String()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := s.apply(tt.data)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			for _, text := range []string{"tok-", "12345678901", "evil"} {
				if strings.Contains(err.Error(), text) {
					t.Errorf("the error quotes the document: %v", err)
				}
			}
			if s.document() != before || out.String() != line || len(proxy.docs) != 1 || s.vault.secrets()["EGRESS_TOKEN_0"].value != secretValue {
				t.Error("something changed")
			}
		})
	}
}

func TestProxyRefusalKeepsTheOld(t *testing.T) {
	proxy := &fakeProxy{}
	s := newState(proxy, Options{})
	if err := s.apply(document(nil)); err != nil {
		t.Fatal(err)
	}
	before := s.document()
	for want, fail := range map[string]error{
		"document refused: route 0: bad host":                   errors.New("route 0: bad host"),
		"document refused, for a reason that quotes a token":    fmt.Errorf("cannot use %s", secretValue),
		"document refused, for a reason that quotes a token ":   fmt.Errorf("cannot use %q", secretValue),
		"document refused, for a reason that quotes a token  ":  errors.New("cannot use zz-zz-zz-zz-"),
		"document refused: and this one goes through unchanged": errors.New("and this one goes through unchanged"),
	} {
		proxy.fail = func(egress.Document) error { return fail }
		err := s.apply(document(func(d *egress.Document) { d.Tokens["EGRESS_TOKEN_1"] = egress.Token{Value: "zz-zz-zz-zz-"} }))
		if err == nil || err.Error() != strings.TrimSpace(want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if s.document() != before || s.vault.secrets()["EGRESS_TOKEN_1"].value != "" {
			t.Error("something changed")
		}
	}
}

func TestInstanceIsSettledByOption(t *testing.T) {
	s := newState(&fakeProxy{}, Options{Instance: "bb-mine"})
	if err := s.apply(document(nil)); err == nil {
		t.Error("took the document of another instance as its first")
	}
	if err := s.apply(document(func(d *egress.Document) { d.Instance = "bb-mine" })); err != nil {
		t.Error(err)
	}
}

// Whatever comes, either the old policy stays or a valid document is in force,
// and no token value is shown.
func FuzzApply(f *testing.F) {
	f.Add(document(nil))
	f.Add(document(func(d *egress.Document) { d.Tokens["EGRESS_TOKEN_0"] = egress.Token{Keep: "d0"} }))
	f.Add(document(func(d *egress.Document) { d.Routes = nil; d.Tokens = nil }))
	f.Add([]byte(`{"bb":1,"instance":"bb-dev-0a1b2c","tokens":{"EGRESS_TOKEN_7":{"value":"0123456789"}}}`))
	f.Add([]byte(`{"bb":1,"bb":{},"live":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		proxy := &fakeProxy{}
		s := newState(proxy, Options{Stdout: &out})
		if err := s.apply(document(nil)); err != nil {
			t.Fatal(err)
		}
		before := s.document()
		out.Reset()
		err := s.apply(data)
		if err != nil {
			if s.document() != before || out.Len() != 0 || len(proxy.docs) != 1 {
				t.Fatalf("refused (%v), and yet something changed", err)
			}
			return
		}
		var line egress.StateLine
		if e := json.Unmarshal(out.Bytes(), &line); e != nil || line.State != egress.StateConfigured || out.Len() > maxStateLine {
			t.Errorf("state line %q: %v", out.String(), e)
		}
		live := proxy.last()
		for i, route := range live.Routes {
			if route.Auth != nil && live.Tokens[route.Auth.Slot].Value == "" {
				t.Errorf("route %d is in force without its token", i)
			}
		}
		shown, _ := json.Marshal(s.document())
		if leaks(append(shown, out.Bytes()...), s.vault.secrets()) {
			t.Errorf("a token is shown")
		}
	})
}
