package pipelock

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Bounds of what is repeated of the program's output.
const (
	maxLine  = 64 << 10 // longer ones are cut
	maxField = 160
	// A minute's events: an agent that is denied without end must not fill the
	// log, in which the sidecar's own lines are looked for.
	perMinute = 20
)

// events turns the program's output into lines: one for each event that it
// warns of, with the fields that are known to quote no request. Other text is
// kept only to say how it ended.
type events struct {
	note func(format string, args ...any)

	mu      sync.Mutex
	line    []byte
	tail    []string
	minute  time.Time
	noted   int
	dropped int
}

func (e *events) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, after, whole := bytes.Cut(rest, []byte{'\n'})
		if room := maxLine - len(e.line); room > 0 {
			e.line = append(e.line, part[:min(room, len(part))]...)
		}
		if whole {
			e.event(e.line)
			e.line = e.line[:0]
		}
		rest = after
	}
	return len(p), nil
}

func (e *events) event(line []byte) {
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		if text := clean(string(line)); text != "" {
			e.tail = append(e.tail, text)
			e.tail = e.tail[max(0, len(e.tail)-3):]
		}
		return
	}
	level, _ := fields["level"].(string)
	if level != "warn" && level != "error" && level != "fatal" && level != "panic" {
		return
	}
	text := level
	for _, name := range []string{"event", "message", "msg", "scanner", "reason", "error"} {
		if v, _ := fields[name].(string); v != "" {
			text += " " + name + "=" + quoteField(v)
		}
	}
	if u, _ := fields["url"].(string); u != "" {
		if parsed, err := url.Parse(u); err == nil && parsed.Host != "" {
			text += " host=" + quoteField(parsed.Host) // never a path or a query
		}
	}
	if level != "warn" {
		e.tail = append(e.tail, text)
		e.tail = e.tail[max(0, len(e.tail)-3):]
	}
	e.tell(text)
}

func (e *events) tell(text string) {
	if now := time.Now(); now.Sub(e.minute) > time.Minute {
		if e.dropped > 0 {
			e.note("pipelock: %d more events", e.dropped)
		}
		e.minute, e.noted, e.dropped = now, 0, 0
	}
	if e.noted >= perMinute {
		e.dropped++
		return
	}
	e.noted++
	e.note("pipelock: %s", text)
}

// last is what the program said in the end, for an error.
func (e *events) last() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.tail) == 0 {
		return ""
	}
	return ": " + strings.Join(e.tail, "; ")
}

// lastWords are those of a command.
func lastWords(out string) string {
	e := &events{note: func(string, ...any) {}}
	_, _ = e.Write([]byte(out + "\n"))
	return strings.TrimPrefix(e.last(), ": ")
}

func quoteField(s string) string { return `"` + strings.ReplaceAll(clean(s), `"`, "'") + `"` }

// clean makes text of the program fit into one line of a log: ASCII that moves
// no cursor, no queries of URLs, and not much of it.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
	words := strings.Fields(s)
	for i, w := range words {
		if head, _, found := strings.Cut(w, "?"); found && strings.Contains(head, "/") {
			words[i] = head + "?..."
		}
	}
	s = strings.Join(words, " ")
	if len(s) > maxField {
		s = s[:maxField] + "..."
	}
	return s
}
