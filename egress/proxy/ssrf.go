package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// Resolver looks names up; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// addressError says that a host leads to addresses that the bottle must not
// reach (attacks A5, E3, E4).
type addressError struct {
	host  string
	addr  netip.Addr
	never bool
}

func (e *addressError) Error() string {
	if e.never {
		return fmt.Sprintf("%s leads to a loopback, link-local or metadata address, which is never allowed", e.host)
	}
	return fmt.Sprintf("%s leads to the internal address %s, and ssrf_ip_allowlist of its route does not name it",
		e.host, e.addr)
}

var errResolve = errors.New("name not found")

// systemResolver asks for the name as it is: a search domain of the host must
// not turn it into another.
type systemResolver struct{}

func (systemResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, network, host+".")
}

// checkAddr applies the floor of the network to one address.
func checkAddr(host string, addr netip.Addr, allow []netip.Prefix) error {
	addr = addr.Unmap().WithZone("")
	switch standing := egress.StandingOf(addr); {
	case standing == egress.Never:
		return &addressError{host: host, addr: addr, never: true}
	case standing == egress.Inside && !covered(allow, addr):
		return &addressError{host: host, addr: addr}
	}
	return nil
}

func covered(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// dialer reaches the outside for one route: it resolves, checks and dials the
// very address that it checked, so that a second lookup cannot answer
// differently (attack A5).
type dialer struct {
	resolver Resolver
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	allow    []netip.Prefix
}

const dialTimeout = 15 * time.Second

func (d *dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := d.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var last error
	for i, addr := range addrs {
		attempt, stop := ctx, context.CancelFunc(func() {})
		if i < len(addrs)-1 {
			attempt, stop = context.WithTimeout(ctx, 3*time.Second)
		}
		conn, err := d.dial(attempt, "tcp", net.JoinHostPort(addr.String(), port))
		stop()
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}

// addresses returns the addresses of host that may be dialled. Where some of
// several are forbidden only the others are used.
func (d *dialer) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	found := []netip.Addr{}
	if literal, err := netip.ParseAddr(host); err == nil {
		found = append(found, literal)
	} else {
		found, err = d.resolver.LookupNetIP(ctx, "ip", host)
		if err != nil || len(found) == 0 {
			return nil, errResolve
		}
	}
	var good []netip.Addr
	var refused error
	for _, addr := range found {
		addr = addr.Unmap()
		if err := checkAddr(host, addr, d.allow); err != nil {
			if refused == nil {
				refused = err
			}
			continue
		}
		if len(good) < 8 {
			good = append(good, addr)
		}
	}
	if len(good) == 0 {
		return nil, refused
	}
	return good, nil
}
