package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

const (
	// maxAccessLine bounds what is kept of a line that does not end.
	maxAccessLine = 1 << 20
	// reconnect is how long bb waits before it asks a lost sidecar again.
	reconnect = 500 * time.Millisecond
)

// accessLog reads the access log of one bottle, over as many connections as it
// takes: a sidecar restarts, and cuts off who reads too slowly.
type accessLog struct {
	a      *app
	c      *logsCmd
	id     spec.ID
	driver backends.Driver
	style  view.Style

	at      int64 // up to here lines were taken
	until   int64 // where the log ended when bb asked first; -1 before
	replied bool  // on this connection
	lost    bool  // somebody was told that the sidecar does not answer
	rest    []byte
	tail    [][]byte // the latest of the lines before until, with --tail
	shown   int
	failed  error // of stdout
}

// run copies the log. Following, it returns when ctx or the bottle ends.
func (l *accessLog) run(ctx context.Context) error {
	for l.until = -1; ; {
		asked := l.at
		l.replied, l.rest = false, nil
		err := l.driver.AccessLog(ctx, l.id, egress.LogRequest{Since: asked, Follow: l.c.Follow}, l)
		switch {
		case l.failed != nil:
			return l.failed
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!l.c.Follow || l.until < 0):
			return err
		case !l.c.Follow && l.at >= l.until:
			return l.caughtUp()
		case !l.c.Follow && l.at == asked:
			return diag.Errorf("the log of %s was overwritten before it was read", l.id).WithHint("run the same command again")
		case !l.c.Follow:
			continue // cut off
		}
		if err := l.wait(ctx); err != nil {
			return err
		}
	}
}

// wait passes some time, while the bottle is there at all.
func (l *accessLog) wait(ctx context.Context) error {
	if _, _, err := l.a.instance(ctx, l.c.Agent); err != nil {
		return contextErr(ctx, err)
	}
	if !l.lost {
		l.lost = true
		l.say("the sidecar of %s does not answer: waiting for it", l.id)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(reconnect):
		return nil
	}
}

func (l *accessLog) say(format string, args ...any) {
	fmt.Fprintf(l.a.stderr, "bb: "+format+"\n", args...)
}

// Write takes an answer as it comes: a reply, and then lines.
func (l *accessLog) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			break
		}
		l.rest = rest
		take := l.line
		if !l.replied {
			take = l.reply
		}
		if err := take(line); err != nil {
			return 0, err
		}
	}
	if len(l.rest) > maxAccessLine {
		return 0, diag.Errorf("a line of the log of %s is larger than %d bytes", l.id, maxAccessLine)
	}
	if l.replied && l.at >= l.until {
		if err := l.caughtUp(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (l *accessLog) reply(line []byte) error {
	var reply egress.Reply
	var span egress.LogSpan
	if err := json.Unmarshal(line, &reply); err != nil {
		return diag.Errorf("the answer of the sidecar of %s is not readable", l.id)
	}
	if !reply.OK {
		return diag.Errorf("the sidecar of %s refuses its log: %s", l.id, view.Escape(reply.Error))
	}
	if err := json.Unmarshal(reply.Data, &span); err != nil {
		return diag.Errorf("the sidecar of %s has another form of log than this bb reads", l.id).
			WithHint("'bb apply' replaces the sidecar")
	}
	if l.lost {
		l.lost = false
		l.say("the sidecar of %s answers again", l.id)
	}
	switch {
	case span.At > l.at && l.at > 0:
		l.say("%d bytes of the log were overwritten before they were read", span.At-l.at)
	case span.At < l.at:
		l.say("the log of %s begins anew", l.id)
	}
	if l.replied, l.at = true, span.At; l.until < 0 {
		l.until = span.End
	}
	return nil
}

// line shows one line, or keeps it where only the last ones are wanted.
func (l *accessLog) line(line []byte) error {
	old := l.at < l.until
	l.at += int64(len(line)) + 1
	// A power cut can leave anything where a line was.
	entry, ok := view.ParseAccess(line)
	if !ok || l.c.Denied && !entry.Refused() {
		return nil
	}
	if old && l.c.Tail > 0 {
		l.tail = append(l.tail, bytes.Clone(line))
		l.tail = l.tail[max(0, len(l.tail)-l.c.Tail):]
		return nil
	}
	return l.show(line, entry)
}

// caughtUp shows what was kept, once all that was there at the beginning has
// been read.
func (l *accessLog) caughtUp() error {
	for _, line := range l.tail {
		entry, _ := view.ParseAccess(line)
		if err := l.show(line, entry); err != nil {
			return err
		}
	}
	l.tail = nil
	return nil
}

func (l *accessLog) show(line []byte, entry view.Access) error {
	l.shown++
	text := view.EscapeJSON(string(line))
	if !l.c.JSON {
		text = l.style.Access(entry)
	}
	_, l.failed = fmt.Fprintln(l.a.stdout, text)
	return l.failed
}
