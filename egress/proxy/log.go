package proxy

import (
	"net/http"
	"time"
)

// Verdicts of an Entry.
const (
	VerdictAllowed = "allowed"
	VerdictDenied  = "denied"
	VerdictFailed  = "failed"
	VerdictCut     = "cut"
	VerdictLocal   = "local"
	// VerdictRedacted went out with what was found in it covered.
	VerdictRedacted = "redacted"
)

// Entry is one line of the access log. It holds no query, no header and no
// error text of another machine, so that no secret can be in it.
type Entry struct {
	Time     time.Time `json:"time"`
	Instance string    `json:"instance,omitempty"`
	Host     string    `json:"host,omitempty"`
	Port     int       `json:"port,omitempty"`
	Method   string    `json:"method"`
	Path     string    `json:"path,omitempty"`
	Rule     string    `json:"rule,omitempty"`
	Verdict  string    `json:"verdict"`
	Reason   string    `json:"reason,omitempty"`
	// Detector names what was found in it.
	Detector string  `json:"detector,omitempty"`
	Status   int     `json:"status"`
	Sent     int64   `json:"sent"`     // body bytes of the request
	Received int64   `json:"received"` // body bytes of the answer
	Millis   float64 `json:"ms"`
}

const maxLogged = 1024

func (e *Entry) denied(d *denial, received int64, now time.Time) {
	e.Verdict, e.Status, e.Reason, e.Received = VerdictDenied, d.status, short(d.reason), received
	if d.status >= http.StatusInternalServerError { // it was allowed
		e.Verdict = VerdictFailed
	}
	e.Detector = d.detector
	e.Millis = millis(now.Sub(e.Time))
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func short(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged] + "..."
	}
	return s
}
