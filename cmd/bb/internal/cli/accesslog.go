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

// sidecarLog reads a log that one bottle's sidecar keeps, over as many
// connections as it takes: a sidecar restarts, and cuts off who reads too slowly.
type sidecarLog struct {
	a      *app
	id     spec.ID
	driver backends.Driver
	agent  string // as it was asked for
	log    string // as in egress.LogRequest
	follow bool
	last   int // only so many of the lines that are there; 0 means all
	json   bool
	// text is a line for people; ok is false for one that is not wanted.
	text func(line []byte) (text string, ok bool)

	at      int64 // up to here lines were taken
	until   int64 // where the log ended when bb asked first; -1 before
	replied bool  // on this connection
	lost    bool  // somebody was told that the sidecar does not answer
	rest    []byte
	tail    []string // the latest of the lines before until, with --tail
	shown   int
	failed  error // of stdout
}

// run copies the log. Following, it returns when ctx or the bottle ends.
func (l *sidecarLog) run(ctx context.Context) error {
	for l.until = -1; ; {
		asked := l.at
		l.replied, l.rest = false, nil
		err := l.driver.AccessLog(ctx, l.id, egress.LogRequest{Log: l.log, Since: asked, Follow: l.follow}, l)
		switch {
		case l.failed != nil:
			return l.failed
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!l.follow || l.until < 0):
			return err
		case !l.follow && l.at >= l.until:
			return l.caughtUp()
		case !l.follow && l.at == asked:
			return diag.Errorf("the log of %s was overwritten before it was read", l.id).WithHint("run the same command again")
		case !l.follow:
			continue // cut off
		}
		if err := l.wait(ctx); err != nil {
			return err
		}
	}
}

// wait passes some time, while the bottle is there at all.
func (l *sidecarLog) wait(ctx context.Context) error {
	if _, _, err := l.a.instance(ctx, l.agent); err != nil {
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

func (l *sidecarLog) say(format string, args ...any) {
	fmt.Fprintf(l.a.stderr, "bb: "+format+"\n", args...)
}

// Write takes an answer as it comes: a reply, and then lines.
func (l *sidecarLog) Write(p []byte) (int, error) {
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

func (l *sidecarLog) reply(line []byte) error {
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
func (l *sidecarLog) line(line []byte) error {
	old := l.at < l.until
	l.at += int64(len(line)) + 1
	// A power cut can leave anything where a line was.
	text, ok := l.text(line)
	if !ok {
		return nil
	}
	if l.json {
		text = view.EscapeJSON(string(line))
	}
	if old && l.last > 0 {
		l.tail = append(l.tail, text)
		l.tail = l.tail[max(0, len(l.tail)-l.last):]
		return nil
	}
	return l.show(text)
}

// caughtUp shows what was kept, once all that was there at the beginning has
// been read.
func (l *sidecarLog) caughtUp() error {
	for _, text := range l.tail {
		if err := l.show(text); err != nil {
			return err
		}
	}
	l.tail = nil
	return nil
}

func (l *sidecarLog) show(text string) error {
	l.shown++
	_, l.failed = fmt.Fprintln(l.a.stdout, text)
	return l.failed
}
