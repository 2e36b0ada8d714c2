package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/dash"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// maxDenials are kept of one bottle for the screen.
const maxDenials = 50

// tally counts what one bottle's sidecar decided, from one of its logs, each line
// once.
type tally struct {
	id   spec.ID
	log  string
	told chan struct{} // closed when all that was there at first was counted

	mu sync.Mutex
	counts
	at, until int64 // up to here lines were counted; where the log ended at first
	replied   bool
	rest      []byte
}

type counts struct {
	requests int
	denied   int
	bytes    int64
	denials  []dash.Denial // the latest
}

func newTally(id spec.ID, log string) *tally {
	return &tally{id: id, log: log, told: make(chan struct{}), until: -1}
}

// copy is what was counted so far.
func (t *tally) copy() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.counts
	c.denials = append([]dash.Denial(nil), c.denials...)
	return c
}

// counted reports whether this stream has told anything.
func (t *tally) counted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.replied
}

// follow counts what is logged until ctx or the sidecar ends.
func (t *tally) follow(ctx context.Context, d backends.Driver) error {
	t.mu.Lock()
	t.replied, t.rest = false, nil
	at := t.at
	t.mu.Unlock()
	return d.AccessLog(ctx, t.id, egress.LogRequest{Log: t.log, Since: at, Follow: true}, t)
}

// Write takes an answer as it comes: a reply, and then lines.
func (t *tally) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest = append(t.rest, p...)
	for {
		line, rest, ok := bytes.Cut(t.rest, []byte("\n"))
		if !ok {
			break
		}
		t.rest = rest
		if !t.replied {
			if err := t.reply(line); err != nil {
				return 0, err
			}
		} else {
			t.line(line)
			t.at += int64(len(line)) + 1
		}
	}
	if len(t.rest) > maxAccessLine {
		return 0, diag.Errorf("a line of the log of %s is larger than %d bytes", t.id, maxAccessLine)
	}
	if t.replied && t.at >= t.until && !closed(t.told) {
		close(t.told)
	}
	return len(p), nil
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (t *tally) reply(line []byte) error {
	var reply egress.Reply
	var span egress.LogSpan
	if json.Unmarshal(line, &reply) != nil || !reply.OK || json.Unmarshal(reply.Data, &span) != nil {
		return diag.Errorf("the sidecar of %s refuses its log", t.id)
	}
	if span.At < t.at { // another one, of a bottle that was made anew
		t.counts = counts{}
	}
	if t.replied, t.at = true, span.At; t.until < 0 {
		t.until = span.End
	}
	return nil
}

func (t *tally) line(line []byte) {
	if t.log == egress.LogGit {
		t.push(line)
		return
	}
	entry, ok := view.ParseAccess(line)
	if !ok {
		return
	}
	t.requests += int(max(1, entry.Dropped))
	t.bytes += max(0, entry.Sent) + max(0, entry.Received)
	if !entry.Refused() {
		return
	}
	t.denied += int(max(1, entry.Dropped))
	target := entry.Host
	if entry.Port != 0 && entry.Port != 443 {
		target = fmt.Sprintf("%s:%d", entry.Host, entry.Port)
	}
	scheme := "https://"
	if entry.Port == 80 {
		scheme, target = "http://", entry.Host
	}
	method := entry.Method
	if !egress.IsToken(method) || method == "DNS" || method == http.MethodConnect {
		method = http.MethodGet // a name that was asked for, or a tunnel: what would follow
	}
	d := dash.Denial{At: entry.Time.Local(), Method: method, URL: scheme + target + entry.Path, Text: cmp.Or(entry.Reason, entry.Verdict)}
	if entry.Host == "" { // no rule could explain it
		d.Whole = view.Style{}.Access(entry) + "\n"
	}
	t.deny(d)
}

// push counts a push that was refused.
func (t *tally) push(line []byte) {
	entry, ok := view.ParsePush(line)
	if !ok || !entry.Refused() {
		return
	}
	t.denied += int(max(1, entry.Dropped))
	whole := view.Style{}.Push(entry) + "\n"
	text, _, _ := strings.Cut(strings.TrimSpace(cmp.Or(entry.Reason, entry.Rule, entry.Error, entry.Verdict)), "\n")
	t.deny(dash.Denial{At: entry.Time.Local(), Method: "push", URL: strings.TrimSpace(entry.Remote + " " + entry.Ref), Text: text, Whole: whole})
}

// deny keeps one, told from all others by where it stands in its log.
func (t *tally) deny(d dash.Denial) {
	d.ID = fmt.Sprintf("%s/%s/%s/%d", t.id.Scope, t.id, t.log, t.at)
	t.denials = append(t.denials, d)
	t.denials = t.denials[max(0, len(t.denials)-maxDenials):]
}
