package proxy

import "crypto/x509"

// Hop is a proxy behind this one, which is asked to connect by name: then
// nothing is resolved here.
type Hop struct {
	// Name is what answers call it: "the parent proxy", "pipelock".
	Name string
	// Address is its host and port; TLS speaks TLS to it.
	Address string
	TLS     bool
	// Authorization is the value of Proxy-Authorization, or "".
	Authorization string
	// Roots are trusted for what comes through it, besides the policy's: those
	// of a hop that intercepts.
	Roots *x509.CertPool
}
