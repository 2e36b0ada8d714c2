package egress

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// DocumentVersion is the version of Document that this bb writes and reads.
const DocumentVersion = 1

// Document is the live half of an instance as its sidecar gets it: the whole
// of it each time, swapped atomically, or refused and the old one kept.
type Document struct {
	Version  int    `json:"bb"`
	Instance string `json:"instance"`
	// Live holds the hash of each live part (egress, git, identity, prompt,
	// skills); the sidecar only repeats it in its state line.
	Live   map[string]string `json:"live"`
	Routes []Route           `json:"routes"`
	// Tokens is keyed by slot.
	Tokens map[string]Token `json:"tokens,omitempty"`
	// UpstreamCA is PEM: roots trusted on the outside leg besides the system's. A
	// sidecar shows their RootsDigest, which keeps those in force.
	UpstreamCA string `json:"upstream_ca,omitempty"`
	// Parent is the proxy of a company network, through which all requests go.
	Parent *Parent `json:"parent,omitempty"`
	// Pipelock puts a pipelock process behind this one.
	Pipelock bool `json:"pipelock,omitempty"`
	// Remotes are what the git gate serves.
	Remotes []Remote `json:"remotes,omitempty"`
	// Supervise lets the agent propose what it needs.
	Supervise bool `json:"supervise,omitempty"`
	// ApprovedValues may pass in spite of a detector.
	ApprovedValues []ApprovedValue `json:"approved_values,omitempty"`
	// Canary is a value that was planted in the bottle and belongs nowhere: a
	// request that holds it shows an agent, or a program in its hands, that
	// collects secrets. It is no secret of the host's.
	Canary string `json:"canary,omitempty"`
}

// Rules are what of the document is enforced, and no secret.
func (d *Document) Rules() Rules {
	return Rules{d.Routes, d.UpstreamCA, d.Parent, d.Pipelock, d.Remotes, d.Supervise, d.ApprovedValues}
}

// RootsDigest identifies an UpstreamCA; "" of none.
func RootsDigest(pem string) string {
	if pem == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(pem))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Parent is a proxy that is asked to connect by name; then the sidecar resolves
// nothing.
type Parent struct {
	// URL is http://HOST:PORT or https://HOST:PORT, without user information.
	URL string `json:"url"`
	// Slot names the token "USER:PASSWORD" of its Proxy-Authorization, if any.
	Slot string `json:"slot,omitempty"`
}

// Token carries a value into the sidecar's memory, or keeps the one it holds.
type Token struct {
	Value string `json:"value,omitempty"`
	// Keep is the digest of a value that the sidecar must hold already.
	Keep string `json:"keep,omitempty"`
	// Digest identifies Value without revealing it (keyed on the host).
	Digest string `json:"digest,omitempty"`
}

// State names what a sidecar is: it passes nothing until it is configured.
const (
	StateUnconfigured = "unconfigured"
	StateConfigured   = "configured"
)

// StateLine is the only thing a sidecar writes to standard output, one JSON
// object a line, under 8 KiB: at start and after every swap.
type StateLine struct {
	Version int               `json:"bb"`
	State   string            `json:"state"`
	Build   string            `json:"build,omitempty"`
	Live    map[string]string `json:"live,omitempty"`
	// Tokens maps a slot to its digest.
	Tokens map[string]string `json:"tokens,omitempty"`
	// Rules is the digest of what is enforced: Live is only repeated, this is
	// the sidecar's own word.
	Rules string `json:"rules,omitempty"`
	// Agent says whether the host's ssh-agent can be asked: AgentConnected, or
	// AgentGone; "" where no credential lies with it.
	Agent string `json:"agent,omitempty"`
}

// Rules are what a sidecar enforces.
type Rules struct {
	Routes         []Route
	UpstreamCA     string
	Parent         *Parent
	Pipelock       bool
	Remotes        []Remote        `json:",omitempty"`
	Supervise      bool            `json:",omitempty"`
	ApprovedValues []ApprovedValue `json:",omitempty"`
}

// Digest identifies rules, without where they come from, in hex.
func (r Rules) Digest() string {
	r.Routes = CloneRoutes(r.Routes)
	for i, x := range r.Routes {
		r.Routes[i].Source = ""
		if x.Auth != nil {
			x.Auth.TokenRef = "" // known to the host only
		}
	}
	r.Remotes = slices.Clone(r.Remotes)
	for i := range r.Remotes {
		r.Remotes[i].Source = ""
	}
	b, err := json.Marshal(r)
	if err != nil {
		return "" // times beyond year 9999: unknown
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Reply is the control socket's answer to one command.
type Reply struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	// Document is the redacted live document (get).
	Document *Document `json:"document,omitempty"`
	// Data is the answer's payload where it is neither (log lines).
	Data json.RawMessage `json:"data,omitempty"`
}
