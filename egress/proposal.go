package egress

import "time"

// Kinds of proposals.
const (
	ProposeRoute      = "egress-block"     // an agent asks for a route
	ProposeCapability = "capability-block" // an agent asks for another image
	ProposeValue      = "dlp-match"        // a request is held: a detector's hit on a route with on_match: supervise
	ProposePush       = "push-refused"     // the git gate refused a push: told, nothing to approve
)

// Bounds of proposals. What exceeds them is refused, and the agent is told so.
const (
	MaxProposals    = 32 // of an agent's own that wait, of one instance
	MaxHeld         = 8  // requests that wait: each keeps its body in memory
	MaxPushes       = 8  // refused pushes that are told of
	MaxWaiting      = MaxProposals + MaxHeld + MaxPushes
	MaxHeldValues   = 64       // in one request
	MaxProposalText = 16 << 10 // of a Dockerfile, in bytes
	MaxReason       = 2000     // in bytes
	ProposalWait    = 30 * time.Second
	// HoldLimit is how long a request with a detector's hit waits for a person.
	HoldLimit = 300 * time.Second
)

// Proposal is what an agent asks a person for, or what the sidecar does.
// Everything in it that has no bound in its type is text of the agent's:
// whoever shows it escapes it.
type Proposal struct {
	// ID is given by the sidecar: 16 hex digits, never used twice.
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Created time.Time `json:"created"`
	// Expires is when it stops to wait; zero means with the sidecar.
	Expires time.Time `json:"expires,omitzero"`
	Reason  string    `json:"reason,omitempty"`
	// Route is what is asked for (ProposeRoute), without a login: Host, Port and
	// Matches only.
	Route *Route `json:"route,omitempty"`
	// Dockerfile is asked for (ProposeCapability).
	Dockerfile string      `json:"dockerfile,omitempty"`
	Held       *HeldValue  `json:"held,omitempty"` // ProposeValue
	Push       *PushNotice `json:"push,omitempty"` // ProposePush
}

// HeldValue is a request that waits. It never holds the value.
type HeldValue struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Method   string `json:"method"`
	Path     string `json:"path"`  // covered where it holds a hit
	Place    string `json:"place"` // "the body", "header x-y"
	Detector string `json:"detector"`
	// Digests are of the values, keyed by the instance: see ApprovedValue.
	Digests []string `json:"digests"`
}

// PushNotice is a push that the git gate refused, one notice for each.
type PushNotice struct {
	Remote string `json:"remote"`
	Ref    string `json:"ref"`
	Reason string `json:"reason"`
	// More refs of the same push were refused.
	More int `json:"more,omitempty"`
}

// ApprovedValue is a value that may go to one host in spite of a detector. The
// digest is an HMAC-SHA256, in hex, whose key the sidecar makes from its CA's:
// it outlives the sidecar's replacement, and is of no use outside the instance.
type ApprovedValue struct {
	Digest  string    `json:"digest"`
	Host    string    `json:"host"`
	Port    int       `json:"port"`
	Expires time.Time `json:"expires,omitzero"` // zero means never
}

// Same reports whether both let the same value go to the same place for as long.
func (v ApprovedValue) Same(o ApprovedValue) bool {
	return v.Digest == o.Digest && v.Host == o.Host && v.Port == o.Port && v.Expires.Equal(o.Expires)
}

// Verdicts of an answer.
const (
	Approved = "approved"
	Rejected = "rejected"
)

// Answer is a person's word on a proposal. What was approved is in force
// already, by the document, when the answer arrives.
type Answer struct {
	ID      string `json:"id"`
	Verdict string `json:"verdict"`
	// Reason is for the agent: why not, or what was changed.
	Reason string `json:"reason,omitempty"`
	// Route is what was approved, where it was changed.
	Route *Route `json:"route,omitempty"`
}

// SuperviseEvent is one line of the control command "supervise", a conversation:
// after its Reply the sidecar tells of all proposals that wait, says Listed, and
// goes on to tell of new ones and of those that are Gone; the host sends one
// Answer a line. Several may listen; the first answer counts.
type SuperviseEvent struct {
	Proposal *Proposal `json:"proposal,omitempty"`
	Listed   bool      `json:"listed,omitempty"`
	// Gone is the id of a proposal that waits no more: answered, or expired.
	Gone string `json:"gone,omitempty"`
	Why  string `json:"why,omitempty"`
	// Refused tells the host that its answer came too late, or names nothing.
	Refused string `json:"refused,omitempty"`
	// Ended says why the sidecar ends the conversation.
	Ended string `json:"ended,omitempty"`
}
