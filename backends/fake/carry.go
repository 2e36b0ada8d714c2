package fake

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress/door"
	"github.com/bot-bottle/bb/egress/door/tree"
)

// carry does what bb in a bottle does for a copy; root stands for /.
func carry(root string, r backends.ExecRequest) (code int, err error) {
	guest := r.Argv[len(r.Argv)-1]
	path := filepath.Join(root, guest)
	if strings.HasSuffix(guest, "/") {
		path += "/"
	}
	c := door.Copy{Any: slices.Contains(r.Argv, "--any"), Skip: slices.Contains(r.Argv, "--skip"), Optional: slices.Contains(r.Argv, "--optional")}
	for _, arg := range r.Argv {
		if base, ok := strings.CutPrefix(arg, "--base="); ok {
			c.Base = base
		}
	}
	var done tree.Report
	if r.Argv[2] == "pack" {
		done, err = door.Pack(path, c, r.Stdout)
	} else {
		done, err = door.Unpack(path, c, r.Stdin)
	}
	if err != nil {
		_, err = fmt.Fprintf(r.Stderr, "bb: %s\n", strings.ReplaceAll(err.Error(), root, ""))
		return 1, err
	}
	_, err = io.WriteString(r.Stderr, done.Refused.LeftOut())
	return 0, err
}
