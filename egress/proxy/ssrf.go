package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
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

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// neverRanges are refused whatever a route says: the host itself, its links,
// and the metadata services of clouds, some of which sit in ordinary ranges.
var neverRanges = prefixes(
	"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
	"100.100.100.200/32", // Alibaba
	"168.63.129.16/32",   // Azure
	"192.0.0.192/32",     // Oracle
	"::/96",              // unspecified, loopback, IPv4-compatible
	"fe80::/10", "ff00::/8",
	"fd00:ec2::/32",    // AWS
	"fd20:ce::254/128", // Google
)

// NeverRanges are the addresses that no route leads to, also those in which a
// translator's IPv6 address hides one: for a hop that resolves names itself.
func NeverRanges() []netip.Prefix {
	return append(prefixes(nat64.String(), sixTo4.String(), siit.String(), "::ffff:0.0.0.0/96"), neverRanges...)
}

// insideRanges are refused unless the route's ssrf_ip_allowlist covers them.
var insideRanges = prefixes(
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
	"192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4",
	"fc00::/7", "fec0::/10", "100::/64", "64:ff9b:1::/48",
	"2001::/32", // Teredo
	"2002::/16", // 6to4
)

var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4  = netip.MustParsePrefix("2002::/16")
	siit    = netip.MustParsePrefix("::ffff:0:0:0/96")
	isatap4 = [4]byte{0x00, 0x00, 0x5e, 0xfe}
)

// checkAddr applies the floor of the network to one address.
func checkAddr(host string, addr netip.Addr, allow []netip.Prefix) error {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || covered(neverRanges, addr) {
		return &addressError{host: host, addr: addr, never: true}
	}
	inner, embeds := embedded(addr)
	if embeds && covered(neverRanges, inner) {
		return &addressError{host: host, addr: addr, never: true}
	}
	inside := covered(insideRanges, addr) || embeds && covered(insideRanges, inner)
	if inside && !covered(allow, addr) {
		return &addressError{host: host, addr: addr}
	}
	return nil
}

// embedded returns the IPv4 address that a translator would send this IPv6
// address to: NAT64 (RFC 6052), SIIT, 6to4, ISATAP.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr), siit.Contains(addr),
		[4]byte(b[8:12]) == isatap4, b[8] == 0x02 && [3]byte(b[9:12]) == [3]byte{0x00, 0x5e, 0xfe}:
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixTo4.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
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
