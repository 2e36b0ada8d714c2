package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// ControlStream speaks with the real sidecar that a test put behind an instance;
// without one there is nobody to speak with.
func (d *Driver) ControlStream(ctx context.Context, id spec.ID, command string, stdin io.Reader, stdout io.Writer) error {
	socket := ""
	err := d.view(func(w *File) error {
		c, err := d.ours(w, id, spec.RoleSidecar)
		if err != nil {
			return err
		}
		if socket = c.Control; !c.Running || socket == "" {
			return diag.Errorf("the in-memory backend has no sidecar to speak with")
		}
		return nil
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := fmt.Fprintf(conn, "bb1 %s\n", command); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(conn, stdin)
		cancel()
	}()
	if _, err = io.Copy(stdout, conn); errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}
