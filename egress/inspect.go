package egress

import "errors"

// Hit is one find in what an agent sends. It says which detector found it, and
// never which value: what is told to an agent must be no oracle.
type Hit struct {
	// Detector is the name for logs and answers: "known value", "private key",
	// "GitHub token".
	Detector string
	// Known means a value that the sidecar holds, or the bottle's canary; the
	// other hits are texts that have the form of a credential.
	Known bool
	// Start and End bound what has to be covered, in the text that was
	// searched: the whole run of characters where the find was encoded in it.
	// Where End is 0 nothing that could be covered is left, and the only way
	// is to block.
	Start, End int
}

// Errors of an Inspector. Both mean that nothing may pass.
var (
	// ErrUndecodable: a coding that is unknown, broken, or disguises the body.
	ErrUndecodable = errors.New("the body cannot be decoded, so that nothing can be looked for in it")
	// ErrTooDeep: encodings inside encodings, or a size after decoding, beyond
	// the bounds.
	ErrTooDeep = errors.New("the body decodes to more than can be looked through")
)

// Inspector looks for secrets in what an agent sends. It is safe for use by
// many goroutines, and keeps nothing of what it was given.
type Inspector interface {
	// Text searches a request target, a header's value, or several of them
	// joined by line feeds. With exact it looks for known values only: in a
	// login that the agent may have.
	Text(text string, exact bool) []Hit
	// Body searches a whole body. plain is data without its content codings
	// (data itself where it has none), and the bounds of hits are in plain. It
	// does not write to data.
	Body(b Body) (plain []byte, hits []Hit, err error)
	// Stream searches a body of any length as it passes, which is weaker: what
	// lies further apart than a window is not seen together.
	Stream(b Body) (Searcher, error)
}

// Body is what is known of a request body, or one message of a WebSocket.
type Body struct {
	// MediaType is the value of Content-Type, or "".
	MediaType string
	// Codings are those of Content-Encoding, in the order in which they were
	// applied, in lower case, without "identity".
	Codings []string
	// Data is empty for Stream.
	Data []byte
}

// Searcher is one stream under search. Not safe for concurrent use.
type Searcher interface {
	// Push takes the next bytes as they come and returns what was found in
	// them, together with what came before. Bounds are not set.
	Push(p []byte) ([]Hit, error)
	// End says that nothing more comes.
	End() ([]Hit, error)
	// Close lets go of what the search holds, at whatever point.
	Close()
}
