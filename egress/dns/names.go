// Package dns answers a bottle's DNS queries from policy alone. It has no
// upstream and opens no socket: whatever a bottle asks, no query of it is ever
// sent to anyone, so a name can carry nothing out.
package dns

import (
	"net/netip"

	"github.com/bot-bottle/bb/egress"
)

// TTL is the life of an answer in seconds: short, since policy may change.
const TTL = 5

// Names says which address inside the bottle stands for a name, if any. The
// name comes in lower case and without the final dot.
type Names func(name string) (netip.Addr, bool)

// transparent is where bb init hands ports 80 and 443 to the sidecar.
var transparent = netip.MustParseAddr(egress.ResolverIP)

// Own knows the sidecar's own names only, which bb init serves on loopback.
func Own(name string) (netip.Addr, bool) {
	switch name {
	case egress.ProxyHost, egress.GitHost, egress.SuperviseHost:
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	case egress.LocalHost:
		return transparent, true
	}
	return netip.Addr{}, false
}

// Policy knows the sidecar's own names, and for each name that allowed knows
// the address of the transparent ports: where the name leads on the outside is
// never asked. Labels under a wildcard are answered here too, so that they
// reach nobody before a request that the proxy decides about (attack A4).
func Policy(allowed func(name string) bool) Names {
	return func(name string) (netip.Addr, bool) {
		if addr, ok := Own(name); ok {
			return addr, true
		}
		// One spelling only: escapes, addresses and odd labels are no names.
		host, err := egress.CanonicalHost(name)
		if err != nil || host != name {
			return netip.Addr{}, false
		}
		if _, err := netip.ParseAddr(host); err == nil || !allowed(host) {
			return netip.Addr{}, false
		}
		return transparent, true
	}
}
