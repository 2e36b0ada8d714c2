package spec

import (
	"maps"

	"github.com/bot-bottle/bb/egress"
)

// Amendment is what becomes of the document that a sidecar has in force when only
// what is approved changes.
type Amendment struct {
	Routes []egress.Route
	Values []egress.ApprovedValue
	// Egress is the hash of the live part that the document then is; "" means that
	// no manifest asks for it as it is: the next plan shows it.
	Egress string
}

// Amend returns a spec whose Document is the one in force, with an amendment and
// nothing else: tokens and roots are kept as the sidecar holds them. Only what
// configures may be given it.
func Amend(id ID, backend string, inForce egress.Document, canary string, a Amendment) *Spec {
	doc := inForce
	doc.Canary, doc.Routes, doc.ApprovedValues = canary, a.Routes, a.Values
	doc.Live = maps.Clone(inForce.Live)
	delete(doc.Live, PartEgress)
	if a.Egress != "" {
		doc.Live[PartEgress] = a.Egress
	}
	doc.Tokens = map[string]egress.Token{}
	for slot, t := range inForce.Tokens {
		doc.Tokens[slot] = egress.Token{Keep: t.Digest}
	}
	return &Spec{ID: id, Backend: backend, Amended: &doc}
}

// Declares reports whether a document is what the sidecar of s should have, but
// for what is approved: it was made of the same manifests, and is as it claims.
func (s *Spec) Declares(doc egress.Document) bool {
	as := *s
	as.Live.Routes, as.Live.Values = append([]egress.Route{}, doc.Routes...), doc.ApprovedValues
	return doc.Live[PartEgress] == as.LiveHashes()[PartEgress] && s.sameRules(doc, egress.Declared(s.Live.Routes), nil,
		egress.Declared(doc.Routes), nil)
}

// InForce reports whether a document is what the sidecar of s should have.
func (s *Spec) InForce(doc egress.Document) bool {
	return s.Declares(doc) && s.sameRules(doc, s.Live.Routes, s.Live.Values, doc.Routes, doc.ApprovedValues)
}

// sameRules compares all that is enforced. Of roots a sidecar shows the hash.
func (s *Spec) sameRules(doc egress.Document, mine []egress.Route, values []egress.ApprovedValue,
	theirs []egress.Route, others []egress.ApprovedValue,
) bool {
	want, have := s.Rules(), doc.Rules()
	want.Routes, want.ApprovedValues = mine, values
	have.Routes, have.ApprovedValues = theirs, others
	if have.UpstreamCA == egress.RootsDigest(want.UpstreamCA) {
		have.UpstreamCA = want.UpstreamCA
	}
	return want.Digest() == have.Digest()
}
