// Package leaks searches what a push brings for secrets: every new object, not
// the difference that a client shows.
package leaks

// BatchFormat is the form in which objects come: that of
// git cat-file --batch=FORMAT, where the rest is the object's path.
const BatchFormat = "%(objectname) %(objecttype) %(objectsize) %(rest)"

// Finding is one secret. It holds nothing of it but a redacted excerpt.
type Finding struct {
	Object string `json:"object"` // id in hex; "" for a ref's name
	Type   string `json:"type"`   // blob, tree (a name), commit, tag, ref
	Path   string `json:"path"`   // of a blob, with "!" before each member of an archive
	Line   int    `json:"line"`   // from 1
	Rule   string `json:"rule"`
	// Excerpt is clean text of at most 80 characters with the secret covered.
	Excerpt string `json:"excerpt"`
}

// Request is what a scan looks for besides its rules.
type Request struct {
	// Values are what the sidecar holds, and the canary.
	Values []string `json:"values"`
	Refs   []string `json:"refs"` // names, searched too
}

// Report is what a scan found. Truncated says that there is more.
type Report struct {
	Findings  []Finding `json:"findings"`
	Truncated bool      `json:"truncated,omitempty"`
	Objects   int       `json:"objects"`
	Bytes     int64     `json:"bytes"`
	// Refused says why something could not be searched: too large, a bomb.
	Refused string `json:"refused,omitempty"`
}
