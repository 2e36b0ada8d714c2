package proxy

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"sync"
	"time"
)

const (
	clockSkew    = 24 * time.Hour // a micro-VM's clock may lag after a pause
	leafLife     = 48 * time.Hour
	leafRenew    = 12 * time.Hour // before its end
	maxLeafCache = 1024
)

// leafCache holds the certificates of hosts that were asked for. Their key is
// the process's own and never written anywhere.
type leafCache struct {
	key *ecdsa.PrivateKey
	mu  sync.Mutex
	m   map[string]*tls.Certificate
}

// leaf returns a certificate for a canonical host.
func (ca *CA) leaf(host string) (*tls.Certificate, error) {
	c := &ca.leaves
	c.mu.Lock()
	defer c.mu.Unlock()
	if cert := c.m[host]; cert != nil && time.Until(cert.Leaf.NotAfter) > leafRenew {
		return cert, nil
	}
	cert, err := ca.mint(host)
	if err != nil {
		return nil, err
	}
	if c.m == nil || len(c.m) >= maxLeafCache {
		c.m = map[string]*tls.Certificate{} // a wildcard must not fill memory
	}
	c.m[host] = cert
	return cert, nil
}

func (ca *CA) mint(host string) (*tls.Certificate, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"bb"}},
		NotBefore:    time.Now().Add(-clockSkew),
		NotAfter:     time.Now().Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &ca.leaves.key.PublicKey, ca.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ca.leaves.key, Leaf: parsed}, nil
}
