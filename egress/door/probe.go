package door

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/bot-bottle/bb/egress"
)

const probeTimeout = 5 * time.Second

// Probe asks the sidecar for its own page, the way every program in the bottle
// would: through the listener of the first process and the socket. An error
// means that the bottle has no way out, as with a runtime that lets no unix
// socket in.
func Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	address := fmt.Sprintf("127.0.0.1:%d", egress.ProxyPort)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("nothing listens on %s: %w", address, err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(probeTimeout))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+egress.LocalHost+"/", http.NoBody)
	if err != nil {
		return err
	}
	req.Close = true
	if err := req.WriteProxy(conn); err != nil {
		return fmt.Errorf("the door is shut: %w", err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return fmt.Errorf("the door is shut: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the sidecar answers %s", res.Status)
	}
	return nil
}
