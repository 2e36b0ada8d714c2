// Package leaks searches what a push brings for secrets: every new object, not
// the difference that a client shows.
package leaks

import (
	"context"
	"io"
)

// BatchFormat is the form in which objects come: that of
// git cat-file --batch=FORMAT, where the rest is the object's path.
const BatchFormat = "%(objectname) %(objecttype) %(objectsize) %(rest)"

// Finding is one secret. It holds nothing of it but a redacted excerpt.
type Finding struct {
	Object string `json:"object"` // id in hex; "" for a ref's name
	Type   string `json:"type"`   // blob, commit, tag, ref
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

// Scan searches a stream of objects to its end. An error means that it was not
// searched whole: then nothing of it may pass.
func Scan(ctx context.Context, req Request, objects io.Reader) (Report, error) {
	return Report{}, nil
}

// Run is Scan in a child process of its own, which has limits of memory and
// time: what content does to the scanner, it does to the child. self is bb's
// own executable.
func Run(ctx context.Context, self string, req Request, objects io.Reader) (Report, error) {
	return Report{}, nil
}

// Child is bb as that child process; handled is false for other calls.
func Child(argv []string) (code int, handled bool) { return 0, false }
