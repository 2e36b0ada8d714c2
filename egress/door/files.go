package door

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/bb/egress/door/tree"
)

// Copy says how a tree goes in or out.
type Copy struct {
	// Base names the tree in a directory that exists; "" puts its content there.
	Base string
	// Any takes an archive of any names into a directory that exists.
	Any bool
	// Skip leaves out what is refused.
	Skip bool
	// Optional makes Pack write nothing where there is nothing.
	Optional bool
}

// Pack writes a file or a directory of the bottle as a tar stream. What was
// left out is returned in the report.
func Pack(path string, c Copy, w io.Writer) (tree.Report, error) {
	path, err := inHome(path)
	if err != nil {
		return tree.Report{}, err
	}
	if _, err := os.Lstat(path); c.Optional && errors.Is(err, fs.ErrNotExist) {
		return tree.Report{}, nil
	}
	root, name, base, err := tree.From(path)
	if err != nil {
		return tree.Report{}, err
	}
	defer root.Close()
	return tree.Pack(root, name, w, tree.Options{As: base, Skip: c.Skip})
}

// Unpack writes a tar stream to a place in the bottle, as cp -r would.
func Unpack(path string, c Copy, r io.Reader) (tree.Report, error) {
	path, err := inHome(path)
	if err != nil {
		return tree.Report{}, err
	}
	base := c.Base
	if c.Any {
		base = ""
	}
	root, o, err := tree.To(path, base)
	if err != nil {
		return tree.Report{}, err
	}
	defer root.Close()
	if c.Any {
		if o.As != "." {
			return tree.Report{}, errors.New(tree.Shown(path) + " is not a directory")
		}
		o.As = ""
	}
	o.Bottle, o.Skip = true, c.Skip
	return tree.Unpack(r, root, o)
}

// inHome reads ~/: no shell does it after the agent's name.
func inHome(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || rest != "" && rest[0] != '/' {
		return path, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	// A trailing slash says that a directory is meant.
	joined := filepath.Join(home, rest)
	if strings.HasSuffix(rest, "/") {
		joined += "/"
	}
	return joined, nil
}
