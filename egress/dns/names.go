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

// Own knows the sidecar's own names only, which bb init serves on loopback.
func Own(name string) (netip.Addr, bool) {
	switch name {
	case egress.ProxyHost, egress.GitHost, egress.SuperviseHost:
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	return netip.Addr{}, false
}
