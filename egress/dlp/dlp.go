// Package dlp finds secrets in what an agent sends: values that the sidecar
// holds, in every spelling that can be undone, and texts that have the form of
// a credential. It implements egress.Inspector.
//
// A text is searched squeezed: only its letters and digits, in one case, so
// that separators, line breaks, NUL bytes and case hide nothing, and one search
// for many forms of a value (forms.go) sees most encodings without decoding.
// Escapes are undone (undo.go), runs of base64 and hex decoded (runs.go), what
// is compressed unpacked (unpack.go), and each result is searched in turn.
package dlp

import (
	"sync"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/dlp/tokens"
)

// Scanner looks for a set of values and for patterns of tokens. It is safe for
// use by many goroutines.
type Scanner struct {
	known *matcher
	// patterns finds what has the form of a credential.
	patterns func(text []byte, emit func(detector string, start, end int))
	searches sync.Pool
	// large is held by the one search that has more than largePiece unpacked in
	// memory.
	large sync.Mutex
	// worked is told the work of each search, by tests that bound it.
	worked func(work int)
}

var _ egress.Inspector = (*Scanner)(nil)

// knownValue is the detector of all values: no hit says which one.
const knownValue = "known value"

// New makes a Scanner for values of at least 12 bytes; shorter ones would be
// found where they are not, and are ignored. Of "user:password" the password
// is looked for alone as well.
func New(values []string) *Scanner { return NewWith(values, tokens.Find) }

// NewWith is New with other patterns: find calls emit for every text in text
// that has the form of a credential, and is called with every text that was
// decoded or unpacked too, by many goroutines.
func NewWith(values []string, find func(text []byte, emit func(detector string, start, end int))) *Scanner {
	s := &Scanner{
		known:    newMatcher(formsOf(values)),
		patterns: find,
	}
	s.searches.New = func() any { return newSearch(s) }
	return s
}

// Text is egress.Inspector's.
func (s *Scanner) Text(text string, exact bool) []egress.Hit {
	q := s.start(exact, len(text))
	defer s.stop(q)
	data := append(q.buffer(len(text)), text...)
	q.layer(data, place{})
	hits := q.result()
	q.release(data)
	if q.err != nil {
		// A head that cannot be looked through passes nowhere.
		hits = append(hits, egress.Hit{Detector: "encoding"})
	}
	return hits
}
