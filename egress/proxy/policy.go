package proxy

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// Policy is one accepted control document. It is not changed once made.
type Policy struct {
	doc    egress.Document // routes canonical, tokens without values
	values map[string]string
	roots  *x509.CertPool // nil: the system's
}

// NewPolicy judges a whole document. held maps the digests of the values that
// are in memory to those values: a token slot may keep one of them. A document
// that is wrong in any part is refused, and no error shows a value.
func NewPolicy(doc egress.Document, held map[string]string) (*Policy, error) {
	if doc.Version != egress.DocumentVersion {
		return nil, fmt.Errorf("document version %d is not %d", doc.Version, egress.DocumentVersion)
	}
	if err := egress.CheckRoutes(doc.Routes); err != nil {
		return nil, err
	}
	p := &Policy{doc: doc, values: map[string]string{}}
	p.doc.Routes = egress.CloneRoutes(doc.Routes)
	p.doc.Live = maps.Clone(doc.Live)
	p.doc.Tokens = map[string]egress.Token{}
	for slot, token := range doc.Tokens {
		if err := p.take(slot, token, held); err != nil {
			return nil, fmt.Errorf("token slot %s: %w", slot, err)
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
	return p, nil
}

func (p *Policy) take(slot string, token egress.Token, held map[string]string) error {
	value, digest := token.Value, token.Digest
	if token.Keep != "" {
		if value != "" {
			return errors.New("both a value and keep")
		}
		kept, ok := held[token.Keep]
		if !ok {
			return errors.New("keep names a value that is not held")
		}
		value, digest = kept, token.Keep
	}
	if err := egress.CheckToken(value); err != nil {
		return err
	}
	p.values[slot] = value
	p.doc.Tokens[slot] = egress.Token{Digest: digest}
	return nil
}

// Held maps the digest of every value of this policy to the value: what the
// next document may keep. It stays in memory.
func (p *Policy) Held() map[string]string {
	held := map[string]string{}
	if p == nil {
		return held
	}
	for slot, token := range p.doc.Tokens {
		if token.Digest != "" && p.values[slot] != "" {
			held[token.Digest] = p.values[slot]
		}
	}
	return held
}

// Digests maps slots to digests, for the state line.
func (p *Policy) Digests() map[string]string {
	digests := map[string]string{}
	for slot, token := range p.doc.Tokens {
		digests[slot] = token.Digest
	}
	return digests
}

// Live is the document's hash of each live part.
func (p *Policy) Live() map[string]string { return maps.Clone(p.doc.Live) }

// Routes are those in force, as the document has them.
func (p *Policy) Routes() []egress.Route { return egress.CloneRoutes(p.doc.Routes) }

// Redacted is the document without token values.
func (p *Policy) Redacted() egress.Document {
	doc := p.doc
	doc.Routes = egress.CloneRoutes(p.doc.Routes)
	doc.Live = maps.Clone(p.doc.Live)
	doc.Tokens = maps.Clone(p.doc.Tokens)
	return doc
}
