package proxy

import "net/netip"

// CheckAddress says why an address that a request names itself would not be
// dialled, or nil. allow is the route's ssrf_ip_allowlist.
func CheckAddress(addr netip.Addr, allow []string) error {
	var prefixes []netip.Prefix
	for _, text := range allow {
		if p, err := netip.ParsePrefix(text); err == nil {
			prefixes = append(prefixes, p)
		}
	}
	return checkAddr(addr.String(), addr, prefixes)
}
