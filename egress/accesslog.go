package egress

// Logs of a sidecar.
const (
	LogAccess = ""    // every decision about a request
	LogGit    = "git" // every push, one line for each ref
)

// LogRequest is the payload of the control command "log": one JSON object and
// a line feed. The answer is one Reply whose Data is a LogSpan, and then the
// lines of the access log, each a JSON object.
type LogRequest struct {
	// Log says which log: LogAccess or LogGit.
	Log string `json:"log,omitempty"`
	// Since is the position to begin at: 0, or what was read up to.
	Since int64 `json:"since,omitempty"`
	// Follow goes on with lines as they come, until the client ends its input.
	Follow bool `json:"follow,omitempty"`
}

// LogSpan says which part of the access log an answer holds. Positions count
// bytes of lines since the instance was made, also those that are gone.
type LogSpan struct {
	// At is the position of the first line that follows: later than what was
	// asked for where that is gone.
	At int64 `json:"at"`
	// End is where the log ended when the answer began; an answer that does not
	// follow ends there.
	End int64 `json:"end"`
}
