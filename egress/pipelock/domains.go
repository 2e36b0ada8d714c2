package pipelock

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// domains are the hosts that pipelock lets out, and those of them that it does
// not look into. It knows no ports, and its "*.name" means any depth and the
// name itself: bb is the narrower one for what may pass. What is looked into
// must not become less by that, so routes that cannot be told apart there are
// refused.
func domains(routes []egress.Route) (hosts, passed []string, err error) {
	all, through := map[string]bool{}, map[string]bool{}
	for i := range routes {
		r := &routes[i]
		all[spelled(r.Host)] = true
		if !r.TLSPassthrough && !r.Tunnel {
			continue
		}
		through[spelled(r.Host)] = true
		for j := range routes {
			o := &routes[j]
			if !o.TLSPassthrough && !o.Tunnel && mixed(spelled(r.Host), spelled(o.Host)) {
				return nil, nil, fmt.Errorf("pipelock: %s passes TLS through and %s does not, which pipelock cannot tell apart "+
					"(it knows no ports, and *.name includes all below and name itself): give both the same tls_passthrough", at(r), at(o))
			}
		}
	}
	return list(all), list(through), nil
}

func at(r *egress.Route) string {
	return egress.Authority(r.Host, r.Port, 0) + " (" + r.Source + ")"
}

// spelled is a host of a rule as pipelock writes it.
func spelled(host string) string {
	if base, ok := strings.CutPrefix(host, "**."); ok {
		return "*." + base
	}
	return host
}

// mixed reports whether the domain that is passed through covers hosts of the
// other, where bb would look at the port or at the depth of the name.
func mixed(passed, other string) bool {
	base, wide := strings.CutPrefix(passed, "*.")
	if !wide {
		return passed == other
	}
	name, otherWide := strings.CutPrefix(other, "*.")
	return name == base || strings.HasSuffix(name, "."+base) || otherWide && strings.HasSuffix(base, "."+name)
}

// internalRanges are the private networks that some route may lead to, without
// what is never allowed: pipelock would let a listed address through whatever
// it is. It keeps one list for all hosts.
func internalRanges(routes []egress.Route) []string {
	set := map[string]bool{}
	for _, r := range routes {
		for _, text := range r.SSRFIPAllowlist {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				continue // CheckRoutes has refused it
			}
			for _, p := range without(prefix.Masked(), egress.NeverRanges()) {
				set[p.String()] = true
			}
		}
	}
	return list(set)
}

// without cuts holes out of a prefix, and returns what is left as prefixes.
func without(p netip.Prefix, holes []netip.Prefix) []netip.Prefix {
	for _, h := range holes {
		if !h.Overlaps(p) {
			continue
		}
		if h.Bits() <= p.Bits() {
			return nil
		}
		low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
		return append(without(low, holes), without(netip.PrefixFrom(flip(p.Addr(), p.Bits()), p.Bits()+1), holes)...)
	}
	return []netip.Prefix{p}
}

// flip sets one bit of an address that has it unset.
func flip(a netip.Addr, bit int) netip.Addr {
	b := a.AsSlice()
	b[bit/8] |= 0x80 >> (bit % 8)
	out, _ := netip.AddrFromSlice(b)
	return out
}
