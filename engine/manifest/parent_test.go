package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParentURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://proxy.example.com:3128":  "http://proxy.example.com:3128",
		"http://proxy.example.com":       "http://proxy.example.com:80",
		"https://proxy.example.com/":     "https://proxy.example.com:443",
		"https://proxy.example.com:8443": "https://proxy.example.com:8443",
		"HTTP://Proxy.Example.com:3128":  "http://proxy.example.com:3128",
		"http://10.0.0.1:3128":           "http://10.0.0.1:3128",
		"http://[fd00::1]:3128":          "http://[fd00::1]:3128",
		"http://[FD00::1]":               "http://[fd00::1]:80",
	} {
		fleet := loaded(t, tree(t, map[string]string{"home/bottles/dev.md": md("egress: {parent: {url: '" + text + "', token_ref: file:~/proxy}}")}))
		got := fleet.Bottles["dev"].Egress
		if got.ParentURL != want || got.ParentRef != "file:~/proxy" {
			t.Errorf("%s: %q, %q", text, got.ParentURL, got.ParentRef)
		}
	}
}

// As upstream_ca: who declares egress declares all of it.
func TestParentIsInheritedWithItsBlock(t *testing.T) {
	fleet := loaded(t, tree(t, map[string]string{
		"home/bottles/base.md":  md("egress: {parent: {url: 'http://proxy.example.com:3128', token_ref: PROXY}}"),
		"home/bottles/same.md":  md("extends: base"),
		"home/bottles/other.md": md("extends: base\negress: {routes: [{host: a.example.com}]}"),
	}))
	var got []string
	for _, name := range []string{"base", "same", "other"} {
		got = append(got, fleet.Bottles[name].Egress.ParentURL+" "+fleet.Bottles[name].Egress.ParentRef)
	}
	if d := cmp.Diff([]string{"http://proxy.example.com:3128 PROXY", "http://proxy.example.com:3128 PROXY", " "}, got); d != "" {
		t.Error(d)
	}
}
