package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bot-bottle/bb/egress/gitgate"
)

// Push is one line of a sidecar's log of pushes, as far as it is shown.
type Push struct {
	gitgate.Entry
	// Dropped counts pushed refs that have no line.
	Dropped int64 `json:"dropped"`
	// Error is in place of an entry that could not be written.
	Error string `json:"error"`
}

// ParsePush reads a line; ok is false for what is none.
func ParsePush(line []byte) (p Push, ok bool) {
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &p) != nil {
		return Push{}, false
	}
	return p, true
}

// Refused reports whether a ref did not reach its upstream. A line that stands
// for others, or has a word that this bb does not know, counts.
func (p Push) Refused() bool { return p.Verdict != gitgate.Accepted }

// Push is one push of a ref for people: when, verdict, remote, ref, what became
// what, and below it the reason.
func (st Style) Push(p Push) string {
	at := pad("-", 19)
	if !p.Time.IsZero() {
		at = p.Time.Local().Format("2006-01-02 15:04:05")
	}
	switch {
	case p.Dropped > 0:
		return fmt.Sprintf("%s  %s %d refs that came too fast have no line", at, st.verdict("dropped"), p.Dropped)
	case p.Verdict == "":
		return fmt.Sprintf("%s  %s %s", at, st.verdict("unknown"), Escape(cmp.Or(p.Error, "a line that this bb does not know")))
	}
	line := fmt.Sprintf("%s  %s %s %s %s", at, st.verdict(p.Verdict), pad(Escape(p.Remote), 12), pad(Escape(p.Ref), 32), p.change())
	reason := p.Reason
	if reason == "" && p.Rule != "" {
		reason = fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Rule)
	}
	for text := range strings.Lines(reason) {
		if text = strings.TrimRight(Escape(strings.TrimRight(text, "\r\n")), " "); text != "" {
			line += "\n    " + text
		}
	}
	return line
}

// change is "old..new", short, or the one that there is.
func (p Push) change() string {
	short := func(id string) string { return Escape(id[:min(len(id), 7)]) }
	switch {
	case p.Old == "" && p.New == "":
		return "-"
	case p.Old == "":
		return "new " + short(p.New)
	case p.New == "":
		return "delete " + short(p.Old)
	}
	return short(p.Old) + ".." + short(p.New)
}
