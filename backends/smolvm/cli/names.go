package cli

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
)

const maxName = 128

var nameShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// CheckName says what is wrong with a machine's name, or nil: letters, digits,
// "_" and "-", a letter or digit first, no "-" last, no "--", at most 128.
func CheckName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "it is empty"
	case len(name) > maxName:
		why = "it is longer than 128 characters"
	case !nameShape.MatchString(name):
		why = "it may hold letters, digits, _ and -, and begins with a letter or digit"
	case strings.HasSuffix(name, "-"):
		why = "it ends with -"
	case strings.Contains(name, "--"):
		why = "it holds --"
	default:
		return nil
	}
	return diag.Errorf("smolvm takes no machine of the name %q: %s", clip(name, 140), why).
		WithHint("give the agent another name")
}

// checkGuestPath allows what can stand in HOST:GUEST and in a shell's words.
func checkGuestPath(path string) error {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, ":;|\x00\n\r") || path != filepath.Clean(path) {
		return diag.Errorf("smolvm takes no path %q in a machine", clip(path, 200)).
			WithHint("use a clean absolute path without : ; and |")
	}
	return nil
}

func checkHostPath(path string) error {
	if !filepath.IsAbs(path) || strings.ContainsAny(path, ":\x00\n\r") {
		return diag.Errorf("smolvm takes no path %q of this machine", clip(path, 200)).
			WithHint("use an absolute path without a colon")
	}
	return nil
}

// clip shortens a text for a message, at a rune.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
