// Package egress holds what both sides of the wall share: routes and their
// merge, the control document, the door's preface line and the state line.
// It imports the standard library only, so that the process that guards a
// bottle stays small enough to read.
package egress

import "time"

// Route lets one bottle reach one host and port. The zero Matches mean every
// method and path; a nil Auth means that nothing is injected.
type Route struct {
	// Host is lower case: a name, an IP literal, "*.suffix" (one label) or
	// "**.suffix" (one label or more).
	Host string `json:"host"`
	// Port is 1 to 65535; a manifest that names none means 443.
	Port    int     `json:"port"`
	Matches []Match `json:"matches,omitempty"`
	Auth    *Auth   `json:"auth,omitempty"`
	// TLSPassthrough keeps the agent's own login where Auth is nil, and lets
	// the host through a further scanning hop untouched. bb still intercepts.
	TLSPassthrough bool `json:"tls_passthrough,omitempty"`
	// SSRFIPAllowlist holds CIDRs of private ranges that the name may resolve to.
	SSRFIPAllowlist []string `json:"ssrf_ip_allowlist,omitempty"`
	GitFetch        bool     `json:"git_fetch,omitempty"`
	WebSocket       bool     `json:"websocket,omitempty"`
	// Tunnel passes TLS through unread after its SNI was checked.
	Tunnel bool `json:"tunnel,omitempty"`
	// MaxBody bounds a request body in bytes; 0 means the sidecar's default.
	MaxBody int64 `json:"max_body,omitempty"`
	DLP     *DLP  `json:"dlp,omitempty"`
	// Strip names further request headers that carry a login of this host.
	Strip []string `json:"strip,omitempty"`
	// Expires ends an approved route; zero means never.
	Expires time.Time `json:"expires,omitzero"`
	// Approved names the proposals whose approval made the route: see Approve. A
	// declared route has none.
	Approved []string `json:"approved,omitempty"`
	// Source says where the route comes from, for people: "bottle dev.md:12"
	// or "provider NAME". It holds a base name, never a path.
	Source string `json:"source"`
}

// Match allows the methods (empty: all) on paths that begin with one of Paths
// (empty: all) at a segment boundary.
type Match struct {
	Methods []string `json:"methods,omitempty"`
	Paths   []string `json:"paths,omitempty"`
}

// Auth says which credential the sidecar puts on a request.
type Auth struct {
	// Scheme is Bearer, token, Basic or raw.
	Scheme string `json:"scheme"`
	// TokenRef names the value on the host: a variable NAME, "file:PATH", or
	// a command. It never leaves the host: the control document carries Slot.
	TokenRef string `json:"token_ref,omitempty"`
	// Header is the header that carries it; empty means Authorization.
	Header string `json:"header,omitempty"`
	// Query names a URL parameter instead of a header.
	Query string `json:"query,omitempty"`
	// Slot is EGRESS_TOKEN_<n>, given by Slots.
	Slot string `json:"slot,omitempty"`
}

// MaxWhole bounds a request body, or a message of a WebSocket, that is searched
// whole before a byte of it leaves, in bytes. Larger ones need DLP.Stream.
const MaxWhole = 8 << 20

// What a detector's hit does.
const (
	OnMatchBlock     = "block" // the default
	OnMatchRedact    = "redact"
	OnMatchSupervise = "supervise"
)

// DLP says what a detector's hit does to a request.
type DLP struct {
	OnMatch string `json:"on_match,omitempty"`
	// Patterns is OnMatch for hits that are no known value, "" for the same: a
	// provider's route redacts those, so that a key in an agent's context does
	// not end its session for good.
	Patterns string `json:"patterns,omitempty"`
	// Stream passes bodies of any size on while they are searched.
	Stream bool `json:"stream,omitempty"`
}

// Action is what a hit does on the route: one of the OnMatch words.
func (r *Route) Action(h Hit) string {
	switch {
	case r.DLP == nil:
		return OnMatchBlock
	case !h.Known && r.DLP.Patterns != "":
		return r.DLP.Patterns
	case h.Known && r.DLP.OnMatch == OnMatchSupervise: // nobody's to approve
		return OnMatchBlock
	case r.DLP.OnMatch != "":
		return r.DLP.OnMatch
	}
	return OnMatchBlock
}
