package proxy

import (
	"bytes"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
)

// hopNote is the header that tells an agent who may have answered.
const hopNote = "X-Egress-Note"

const (
	// hopRefusal begins what a hop that scans says in place of the upstream.
	hopRefusal    = "blocked: "
	maxHopRefusal = 4 << 10
)

// noteHop marks an answer that reads like a refusal of a hop that looks into
// TLS. It comes over the same connection as the upstream's answers, and an
// upstream may send the same bytes: so its body stays what it is, and the note
// claims no more than that. Where the hop has not looked in, as its certificate
// shows, it cannot be the hop's. A refused CONNECT is certain, and an error.
func (x *exchange) noteHop(res *http.Response) error {
	hop := x.live.policy.hop
	delete(res.Header, hopNote) // nobody else's word
	if hop == nil || hop.Roots == nil || res.StatusCode != http.StatusForbidden ||
		res.ContentLength < int64(len(hopRefusal)) || res.ContentLength > maxHopRefusal ||
		!strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") || !hop.lookedIn(res) {
		return nil
	}
	page, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(page))
	if !bytes.HasPrefix(page, []byte(hopRefusal)) {
		return nil
	}
	res.Header.Set(hopNote, "egress: "+hop.Name+" blocked this request, unless "+x.target.Host+" says so itself")
	x.entry.Reason = hop.Name + " blocked it, unless the upstream says so itself"
	return nil
}

// hopOrders are the agent's headers that a scanning hop would take for words to
// itself, such as whose request it is (attack G11).
func (x *exchange) hopOrders() []string {
	var names []string
	if hop := x.live.policy.hop; hop != nil && hop.Roots != nil {
		for name := range x.r.Header {
			if strings.HasPrefix(strings.ToLower(strings.ReplaceAll(name, "_", "-")), "x-"+hop.Name+"-") {
				names = append(names, name)
			}
		}
	}
	return names
}

// lookedIn reports whether the hop spoke to us in the upstream's place.
func (h *Hop) lookedIn(res *http.Response) bool {
	if res.TLS == nil {
		return true
	}
	if len(res.TLS.PeerCertificates) == 0 {
		return false
	}
	_, err := res.TLS.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: h.Roots})
	return err == nil
}
