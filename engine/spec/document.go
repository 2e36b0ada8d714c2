package spec

import "github.com/bot-bottle/bb/egress"

// Document is the control document of s. It claims the live parts named; a
// part that is provisioned later is claimed by a later document. Token values
// that secrets hold go in; for the rest the sidecar must hold the digest.
func (s *Spec) Document(secrets Secrets, parts []string) egress.Document {
	if s.Amended != nil {
		return *s.Amended
	}
	d := egress.Document{
		Version: egress.DocumentVersion, Instance: s.ID.Name(),
		Live: map[string]string{}, Routes: []egress.Route{},
		Tokens: map[string]egress.Token{}, UpstreamCA: s.Live.UpstreamCA,
		Parent: s.Live.Parent, Pipelock: s.Gate.Pipelock, Remotes: s.Live.Remotes, Canary: s.Canary,
		Supervise: s.Fixed.Supervise, ApprovedValues: s.Live.Values,
	}
	all := s.LiveHashes()
	for _, p := range parts {
		if h, ok := all[p]; ok {
			d.Live[p] = h
		}
	}
	for _, r := range s.Live.Routes {
		if r.Auth != nil {
			a := *r.Auth
			a.TokenRef = "" // the name of a host variable stays on the host
			r.Auth = &a
		}
		d.Routes = append(d.Routes, r)
	}
	for slot := range s.Live.Tokens {
		if v, ok := secrets.Tokens[slot]; ok {
			d.Tokens[slot] = egress.Token{Value: v, Digest: secrets.Digests[slot]}
		} else {
			d.Tokens[slot] = egress.Token{Keep: secrets.Digests[slot]}
		}
	}
	return d
}
