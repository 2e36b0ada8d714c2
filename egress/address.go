package egress

import (
	"net/netip"
	"slices"
)

// Standing says who may be led to an address.
type Standing int

// Standings, from the freest.
const (
	Outside Standing = iota
	Inside           // only by the ssrf_ip_allowlist of a route
	Never            // by no route
)

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

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// NeverRanges are the addresses that no route leads to, also those in which a
// translator's IPv6 address hides one: for a hop that resolves names itself.
func NeverRanges() []netip.Prefix {
	return append(prefixes(nat64.String(), sixTo4.String(), siit.String(), "::ffff:0.0.0.0/96"), neverRanges...)
}

// StandingOf judges an address, and the IPv4 address that is embedded in one.
func StandingOf(addr netip.Addr) Standing {
	addr = addr.Unmap().WithZone("")
	inner, embeds := embedded(addr)
	switch {
	case !addr.IsValid() || among(neverRanges, addr) || embeds && among(neverRanges, inner):
		return Never
	case among(insideRanges, addr) || embeds && among(insideRanges, inner):
		return Inside
	}
	return Outside
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

func among(list []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
}
