package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// denial is an answer that the proxy gives itself.
type denial struct {
	status int
	text   string
	// reason is what the log keeps of text: one sentence.
	reason string
	rule   string
	add    string
	// detector names what was found, for the log.
	detector   string
	retryAfter string // seconds
}

func deny(status int, text string) *denial { return &denial{status: status, text: text, reason: text} }

func explained(e egress.Explanation) *denial {
	return &denial{status: e.Status, text: e.Text(), reason: e.Sentence(), rule: e.Rule, add: e.Add}
}

func notConfigured() *denial {
	return deny(http.StatusForbidden, "egress: not configured yet")
}

var tooMany = deny(http.StatusServiceUnavailable, "egress: too many connections at once")

// body is the same for every way in: one JSON object whose error begins with
// "egress: ".
func (d *denial) body() []byte {
	data, err := json.Marshal(struct {
		Error string `json:"error"`
		Rule  string `json:"rule,omitempty"`
		Add   string `json:"add,omitempty"`
	}{d.text, d.rule, d.add})
	if err != nil {
		return []byte(`{"error":"egress: blocked"}`)
	}
	return append(data, '\n')
}

func (d *denial) write(w http.ResponseWriter) {
	body := d.body()
	h := w.Header()
	last := h.Get("Connection") == "close"
	clear(h)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if last {
		h.Set("Connection", "close")
	}
	if d.retryAfter != "" {
		h.Set("Retry-After", d.retryAfter)
	}
	w.WriteHeader(d.status)
	_, _ = w.Write(body)
}

// phrase is the reason in the status line. Of what answers a CONNECT many
// programs show no more than that, and curl not even that without -v.
func (d *denial) phrase() string {
	text := http.StatusText(d.status)
	for _, c := range []byte(d.reason) {
		if c < ' ' || c > '~' {
			return text
		}
	}
	why := strings.TrimPrefix(d.reason, "egress: ")
	if len(why) > 300 {
		return text
	}
	return text + ": " + why
}

// rawAnswer is a denial where no server is there to write it.
func rawAnswer(d *denial) []byte {
	body := d.body()
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
		d.status, d.phrase(), len(body))
	return append([]byte(head), body...)
}
