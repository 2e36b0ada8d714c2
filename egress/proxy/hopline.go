package proxy

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"sync"
)

const (
	// maxHopPage bounds what is read of a refusal, maxHopLine what is shown.
	maxHopPage = 16 << 10
	maxHopLine = 200
)

var htmlTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// firstLine is what a page says in a line: its title, or its first words. Of a
// page that may be cut short it is nothing: half a value is not recognised.
func firstLine(page []byte, mediaType string) string {
	if len(page) >= maxHopPage {
		return ""
	}
	text := string(page)
	if strings.Contains(strings.ToLower(mediaType), "html") {
		m := htmlTitle.FindStringSubmatch(text)
		if m == nil {
			return ""
		}
		return html.UnescapeString(strings.Join(strings.Fields(m[1]), " "))
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

// cleaner makes a hop's words fit to be shown: printable, short, and without
// any value that the policy holds, in all forms in which it would be found in
// an answer.
func (p *Policy) cleaner() func(string) string {
	redactors := sync.OnceValue(func() []*redactor {
		values := append([]string{p.canary}, p.known...)
		if p.hop != nil {
			values = append(values, p.hop.Authorization)
		}
		var all []*redactor
		for _, v := range values {
			if v != "" {
				all = append(all, newRedactor(v, v))
			}
		}
		return all
	})
	return func(line string) string {
		var b strings.Builder
		for i := 0; i < len(line); i++ {
			if c := line[i]; 0x20 <= c && c < 0x7f {
				b.WriteByte(c)
			}
		}
		h := http.Header{"": {b.String()}}
		for _, r := range redactors() {
			r.header(h)
		}
		// Cut after the search, for the same reason.
		out := h.Get("")
		if len(out) > maxHopLine {
			out = out[:maxHopLine-3] + "..."
		}
		return out
	}
}
