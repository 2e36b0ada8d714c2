package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/dash"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// maxDenials are kept of one bottle for the screen.
const maxDenials = 50

// tally counts what one bottle's sidecar decided, from its log, each line once.
type tally struct {
	id       spec.ID
	at       int64 // up to here lines were counted
	requests int
	denied   int
	bytes    int64
	memory   int64
	denials  []dash.Denial // the latest

	replied bool
	rest    []byte
}

// read counts what came since the last time.
func (t *tally) read(ctx context.Context, d backends.Driver) error {
	t.replied, t.rest = false, nil
	return d.AccessLog(ctx, t.id, egress.LogRequest{Since: t.at}, t)
}

// Write takes an answer as it comes: a reply, and then lines.
func (t *tally) Write(p []byte) (int, error) {
	t.rest = append(t.rest, p...)
	for {
		line, rest, ok := bytes.Cut(t.rest, []byte("\n"))
		if !ok {
			break
		}
		t.rest = rest
		if t.replied {
			t.at += int64(len(line)) + 1
			t.line(line)
			continue
		}
		var reply egress.Reply
		var span egress.LogSpan
		if json.Unmarshal(line, &reply) != nil || !reply.OK || json.Unmarshal(reply.Data, &span) != nil {
			return 0, diag.Errorf("the sidecar of %s refuses its log", t.id)
		}
		t.replied, t.at = true, span.At
	}
	if len(t.rest) > maxAccessLine {
		return 0, diag.Errorf("a line of the log of %s is larger than %d bytes", t.id, maxAccessLine)
	}
	return len(p), nil
}

func (t *tally) line(line []byte) {
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
	t.denials = append(t.denials, dash.Denial{
		At: entry.Time.Local(), Bottle: t.id.String(), URL: scheme + target + entry.Path, Text: cmp.Or(entry.Reason, entry.Verdict),
	})
	t.denials = t.denials[max(0, len(t.denials)-maxDenials):]
}
