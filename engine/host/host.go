// Package host reads what bb needs to know of the machine it runs on: values
// of variables, files and commands that manifests refer to, and files that
// providers ask for. It writes nothing, and no value of a secret gets into an
// error.
package host

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
)

// Variable returns the value of a variable of the environment, or
// egress.ErrUnset.
func Variable(name string) (string, error) {
	if v, ok := os.LookupEnv(name); ok {
		return v, nil
	}
	return "", egress.ErrUnset
}

// Expand reads "~/" as HOME says, also where the user database differs, and
// makes the path absolute.
func Expand(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil || home == "" {
			return "", diag.Errorf("HOME is not set").WithHint("set HOME or BB_HOME")
		}
		path = filepath.Join(home, rest)
	}
	return filepath.Abs(path)
}
