package leaks

import (
	"context"
	"fmt"
	"io"

	"github.com/bot-bottle/bb/egress/child"
)

// Limits of the child: it needs no file but the three that it has and those
// that Go's poller takes, and no other program.
const (
	maxDescriptors = 8
	maxSeconds     = 2 * 600 // of both cores, for the longest time it may take
)

// runChild runs bb as the child that searches, until it ends or ctx does. A
// read of in may then still be under way.
func runChild(ctx context.Context, self string, in io.Reader, out io.Writer) error {
	said := limited{most: 64 << 10}
	err := child.Run(ctx, child.Options{
		Path: self, Name: childName, Stdin: in, Stdout: out, Stderr: &said,
		Limits: child.Limits{Data: dataLimit, CPU: maxSeconds, NoFiles: true, Descriptors: maxDescriptors},
	})
	if err != nil && said.Len() > 0 {
		return fmt.Errorf("%w: %s", err, last(said.Bytes()))
	}
	return err
}
