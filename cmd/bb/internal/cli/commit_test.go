package cli

import (
	"strings"
	"testing"
)

func TestCheckImageName(t *testing.T) {
	digest := "dev@sha256:" + strings.Repeat("a", 64)
	for name, good := range map[string]bool{
		"": true, "dev": true, "dev:one": true, "localhost/dev": true, "localhost:5000/team/dev:1.2-x": true,
		"a b": false, ":x": false, "dev:": false, "Dev": false, "dev:a/b": false, "x\x1b[2J": false, "x\n": false, "-x": false,
		"dev:" + strings.Repeat("t", 200): false, digest: false, strings.Repeat("a", 64): false, "../x": false, "\u202edev": false,
	} {
		err := checkImageName(name)
		if (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
		if err != nil && (strings.ContainsAny(err.Error(), "\x1b\n\u202e") || !strings.Contains(err.Error(), "(such as localhost/dev:before-the-change)")) {
			t.Errorf("%q says %q", name, err)
		}
	}
}
