package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bot-bottle/bb/egress/gitgate"
	"github.com/bot-bottle/bb/egress/proxy"
)

// Access is one line of a sidecar's access log, as far as it is shown.
type Access struct {
	proxy.Entry
	// Dropped counts decisions that have no line.
	Dropped int64 `json:"dropped"`
	// Error is in place of a decision that could not be written.
	Error string `json:"error"`
}

// ParseAccess reads a line; ok is false for what is none.
func ParseAccess(line []byte) (a Access, ok bool) {
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &a) != nil {
		return Access{}, false
	}
	return a, true
}

// Refused reports whether a request did not pass, or not as it was sent. A line
// that stands for others, or has a word that this bb does not know, counts.
func (a Access) Refused() bool {
	return a.Detector != "" || a.Verdict != proxy.VerdictAllowed && a.Verdict != proxy.VerdictLocal
}

// Access is one line for people: when, verdict, method, what, status, sizes
// (sent, received), duration, and why.
func (st Style) Access(a Access) string {
	at := pad("-", 19)
	if !a.Time.IsZero() {
		at = a.Time.Local().Format("2006-01-02 15:04:05")
	}
	switch {
	case a.Dropped > 0:
		return fmt.Sprintf("%s  %s %d decisions that came too fast have no line", at, st.verdict("dropped"), a.Dropped)
	case a.Verdict == "":
		return fmt.Sprintf("%s  %s %s", at, st.verdict("unknown"), Escape(cmp.Or(a.Error, "a line that this bb does not know")))
	}
	target := a.Host
	if a.Port != 0 && a.Port != 443 {
		target = fmt.Sprintf("%s:%d", a.Host, a.Port)
	}
	status := "-"
	if a.Status != 0 {
		status = fmt.Sprint(a.Status)
	}
	line := fmt.Sprintf("%s  %s %-7s %s %3s %9s %9s %8.1f ms  %s", at, st.verdict(a.Verdict), Escape(a.Method),
		pad(Escape(target+a.Path), 48), status, Size(a.Sent), Size(a.Received),
		a.Millis, Escape(a.why()))
	return strings.TrimRight(line, " ")
}

// why leaves out what the line, or the reason itself, says already.
func (a Access) why() string {
	if !a.Refused() {
		return a.Rule
	}
	reason := strings.TrimPrefix(a.Reason, "egress: ")
	if what, rest, ok := strings.Cut(reason, "blocked: "); ok && (what == "" || strings.HasPrefix(what, a.Method+" ")) {
		reason = rest
	}
	if reason == "" && a.Method == "DNS" && a.Verdict == proxy.VerdictDenied {
		reason = "no route has this name"
	}
	var words []string
	for _, w := range []string{a.Detector, reason, a.Rule} {
		if w != "" && (w == reason || !strings.Contains(reason, w)) {
			words = append(words, w)
		}
	}
	return strings.Join(words, "; ")
}

func (st Style) verdict(word string) string {
	text := fmt.Sprintf("%-8s", Escape(word))
	color := "31"
	switch word {
	case proxy.VerdictAllowed, proxy.VerdictLocal, gitgate.Accepted:
		color = "32"
	case proxy.VerdictCut, proxy.VerdictRedacted, "dropped":
		color = "33"
	}
	if !st.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// pad fills text up to a width, in characters.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}
