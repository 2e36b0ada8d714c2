package proxy

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// Policy is one accepted control document. It is not changed once made.
type Policy struct {
	routes []egress.Route    // canonical
	values map[string]string // token values by slot
	known  []string          // what is looked for in requests, and shown to nobody
	roots  *x509.CertPool    // nil: the system's
	canary string
	hop    *Hop // nil: straight out
	// approved may pass in spite of a detector.
	approved []egress.ApprovedValue
}

// NewPolicy judges a whole document. Its tokens carry their values: what is to
// be kept was resolved by who holds it. A document that is wrong in any part is
// refused, and no error shows a value.
func NewPolicy(doc egress.Document) (*Policy, error) {
	if doc.Version != egress.DocumentVersion {
		return nil, fmt.Errorf("document version %d is not %d", doc.Version, egress.DocumentVersion)
	}
	if err := egress.CheckRoutes(doc.Routes); err != nil {
		return nil, err
	}
	p := &Policy{routes: egress.CloneRoutes(doc.Routes), values: map[string]string{}, canary: doc.Canary, approved: slices.Clone(doc.ApprovedValues)}
	for _, slot := range slices.Sorted(maps.Keys(doc.Tokens)) {
		token := doc.Tokens[slot]
		if token.Keep != "" {
			return nil, fmt.Errorf("token slot %s: keep is not resolved", slot)
		}
		if err := egress.CheckSlot(slot, token.Value); err != nil {
			return nil, fmt.Errorf("token slot %s: %w", slot, err)
		}
		p.known = append(p.known, egress.Needles(slot, token.Value)...)
		if !strings.HasPrefix(slot, egress.SlotGit) { // the git gate's, on no request
			p.values[slot] = token.Value
		}
	}
	if strings.TrimSpace(doc.UpstreamCA) != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(doc.UpstreamCA)) {
			return nil, errors.New("upstream_ca holds no certificate")
		}
		p.roots = pool
	}
	var err error
	p.hop, err = hopOf(doc)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Routes are those in force, as the document has them.
func (p *Policy) Routes() []egress.Route { return egress.CloneRoutes(p.routes) }

// Through sends every request through a further proxy, and returns the policy.
// It is called before the policy is in force.
func (p *Policy) Through(h Hop) *Policy {
	p.hop = &h
	return p
}
