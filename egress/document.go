package egress

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	// UpstreamCA is PEM: roots trusted on the outside leg besides the system's.
	UpstreamCA string `json:"upstream_ca,omitempty"`
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
	// Rules is RulesDigest of what is enforced: Live is only repeated, this is
	// the sidecar's own word.
	Rules string `json:"rules,omitempty"`
}

// RulesDigest identifies what a sidecar enforces: the routes, without where
// they come from, and the extra roots, in hex.
func RulesDigest(routes []Route, upstreamCA string) string {
	plain := CloneRoutes(routes)
	for i, r := range plain {
		plain[i].Source = ""
		if r.Auth != nil {
			r.Auth.TokenRef = "" // known to the host only
		}
	}
	b, err := json.Marshal(struct {
		Routes     []Route
		UpstreamCA string
	}{plain, upstreamCA})
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
