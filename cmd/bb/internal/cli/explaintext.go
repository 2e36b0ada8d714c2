package cli

import (
	"fmt"
	"strings"

	"github.com/bot-bottle/bb/engine/plan"
)

// lines is the answer for people: what the agent would read, and below it what
// only the host knows.
func (e *explained) lines() string {
	var b strings.Builder
	b.WriteString(e.Text + "\n")
	if strings.Contains(e.Text, "\n") {
		b.WriteString("\n") // the lines to add end here
	}
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-8s %s\n", name, value)
		}
	}
	row("rule", e.ruleAt)
	row("add to", e.addAt)
	if !e.Allowed {
		if e.Refused != "" {
			row("address", "refused with a route too: "+e.Refused)
		}
		return b.String()
	}
	switch {
	case e.Auth != "":
		row("auth", e.Auth+"; a login of the agent is dropped")
	case e.Login == "passes":
		row("auth", "none; the agent's own account")
	default:
		row("auth", "none; a login of the agent is dropped")
	}
	row("hits", e.hits())
	if e.MaxBody > 0 {
		row("body", "at most "+plan.Bytes(e.MaxBody))
	}
	row("through", strings.Join(e.Through, ", then "))
	if e.Refused != "" {
		row("address", "refused all the same: "+e.Refused)
	}
	return b.String()
}

// hits says what is done with secrets in the request.
func (e *explained) hits() string {
	h := e.Hits
	if h == nil {
		return "not inspected: bb sees the name of the host, and nothing of the request"
	}
	text := h.Known
	if h.Known != h.Others {
		text = h.Known + " known values, " + h.Others + " what looks like a credential"
	}
	if h.Stream {
		text += "; searched as it passes"
	}
	return text
}
