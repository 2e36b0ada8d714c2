// Package door is the bottle's side of the wall: the first process of a bottle
// (bb init), which listens where programs look for a proxy and a resolver and
// hands every connection through one unix socket to the sidecar. It runs as the
// agent's user without any power and decides nothing: an agent that kills or
// replaces it only loses its way out.
package door

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// DefaultSocket is where the sidecar's socket is mounted in a bottle.
const DefaultSocket = "/bb/door/door.sock"

// DefaultMaxConns bounds the connections of each listener.
const DefaultMaxConns = 1024

// Listen is one address inside the bottle and the service it stands for.
type Listen struct {
	Network string // tcp or udp
	Addr    string
	Service string
}

// Listens returns every address that bb init serves.
func Listens() []Listen {
	loopback := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	resolver := func(port string) string { return net.JoinHostPort(egress.ResolverIP, port) }
	return []Listen{
		{"tcp", loopback(egress.ProxyPort), egress.ServiceProxy},
		{"tcp", loopback(egress.GitPort), egress.ServiceGit},
		{"tcp", loopback(egress.SupervisePort), egress.ServiceMCP},
		{"udp", resolver("53"), egress.ServiceDNS},
		{"tcp", resolver("53"), egress.ServiceDNS},
		{"tcp", resolver("80"), egress.ServiceHTTP},
		{"tcp", resolver("443"), egress.ServiceTLS},
	}
}

// Options say where the door is; the zero value is right inside a bottle.
type Options struct {
	Socket   string   // default DefaultSocket
	Listens  []Listen // default Listens()
	MaxConns int      // per listener, default DefaultMaxConns
	// Ready is called once when every address is listened on.
	Ready func()
}

type (
	door struct {
		socket   string
		maxConns int
		tcp      []tcpListener
		udp      []udpListener
	}
	tcpListener struct {
		net.Listener
		service string
	}
	udpListener struct {
		net.PacketConn
		service string
	}
)

// open listens on every address or on none.
func open(ctx context.Context, opts Options) (*door, error) {
	d := &door{socket: opts.Socket, maxConns: opts.MaxConns}
	if d.socket == "" {
		d.socket = DefaultSocket
	}
	if d.maxConns <= 0 {
		d.maxConns = DefaultMaxConns
	}
	listens := opts.Listens
	if listens == nil {
		listens = Listens()
	}
	var errs []error
	for _, l := range listens {
		if err := d.listen(ctx, l); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		d.close()
		return nil, errors.Join(errs...)
	}
	return d, nil
}

func (d *door) listen(ctx context.Context, l Listen) error {
	var config net.ListenConfig
	var err error
	switch l.Network {
	case "tcp":
		var ln net.Listener
		if ln, err = config.Listen(ctx, "tcp4", l.Addr); err == nil {
			d.tcp = append(d.tcp, tcpListener{ln, l.Service})
		}
	case "udp":
		var pc net.PacketConn
		if pc, err = config.ListenPacket(ctx, "udp4", l.Addr); err == nil {
			d.udp = append(d.udp, udpListener{pc, l.Service})
		}
	default:
		err = net.UnknownNetworkError(l.Network)
	}
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%s port for %s: %w (a bottle needs sysctl net.ipv4.ip_unprivileged_port_start=0)", l.Network, l.Service, err)
	}
	if err != nil {
		return fmt.Errorf("%s port for %s: %w", l.Network, l.Service, err)
	}
	return nil
}

func (d *door) close() {
	for _, l := range d.tcp {
		_ = l.Close()
	}
	for _, l := range d.udp {
		_ = l.Close()
	}
}

// serve hands connections through until ctx ends, and leaves none behind.
func (d *door) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, d.close)
	defer stop()
	var wg sync.WaitGroup
	for _, l := range d.tcp {
		wg.Go(func() { d.serveTCP(ctx, l) })
	}
	for _, l := range d.udp {
		wg.Go(func() { d.serveUDP(ctx, l) })
	}
	wg.Wait()
}

// pause waits a little after an accept failed, most often for want of
// descriptors, so that the loop neither ends nor spins.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
