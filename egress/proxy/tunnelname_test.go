package proxy

import (
	"crypto/tls"
	"net"
	"testing"
)

// A name under a wildcard is the agent's own: a tunnel resolves it only after it
// was searched.
func TestTunnelName(t *testing.T) {
	eachEntry(t, func(t *testing.T, open func(w *world, host string) (net.Conn, error)) {
		w := newSearched(t, tunnelled("*.b.example", 443))
		w.tapped(443, nil)
		for i := range oracleHits + 1 {
			host := secret + ".b.example"
			if i == oracleHits {
				host = "x.b.example" // nothing passes now
			}
			if c, err := open(w, host); err == nil {
				_ = tls.Client(c, &tls.Config{ServerName: host}).Handshake() // no server answers
				_ = c.Close()
			}
		}
		w.logged(oracleHits + 1)
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.asked) != 0 || len(w.dialled) != 0 || w.entries[0].Detector != "known value" {
			t.Errorf("asked for %v, dialled %v, logged %+v", w.asked, w.dialled, w.entries[0])
		}
	})
}
