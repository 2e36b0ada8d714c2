package gitgate

import "time"

// Entry is one line of the git log: what became of one ref of a push. It holds
// no content of what was pushed but a redacted excerpt.
type Entry struct {
	Time     time.Time `json:"time"`
	Instance string    `json:"instance,omitempty"`
	Remote   string    `json:"remote"`
	Ref      string    `json:"ref"`
	Old      string    `json:"old,omitempty"` // object ids in hex; "" means none
	New      string    `json:"new,omitempty"`
	Verdict  string    `json:"verdict"`
	Reason   string    `json:"reason,omitempty"` // as the agent read it
	// Rule, Path and Line say where a secret was found.
	Rule    string `json:"rule,omitempty"`
	Path    string `json:"path,omitempty"`
	Line    int    `json:"line,omitempty"`
	Objects int    `json:"objects,omitempty"` // searched
	Bytes   int64  `json:"bytes,omitempty"`
	MS      int64  `json:"ms"`
}

// Verdicts of a push.
const (
	Accepted = "accepted" // and is on the upstream
	Refused  = "refused"  // by a rule or a find
	Failed   = "failed"   // the upstream, or the gate, could not
)
