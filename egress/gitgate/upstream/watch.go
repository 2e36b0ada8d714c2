package upstream

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// What is kept of what a run says.
const (
	maxLines = 200 // of each output: those that may be the reason
	maxTheir = 40  // of them "remote: " lines
	maxLine  = 1 << 10
	maxSaid  = 20
	maxText  = 300 // of one line, for people
)

// watch looks at what git says while it runs.
type watch struct {
	scrub   func(string) string
	longest int // secret
	tell    func(string)

	mu    sync.Mutex
	last  time.Time
	alive bool

	out, err *stream
	said     []string
}

// silence is why a run was ended.
type silence struct{ text string }

func (s *silence) Error() string { return s.text }

func newWatch(stdout io.Writer, secrets []string, tell func(string)) *watch {
	w := &watch{scrub: scrubber(secrets), tell: tell, last: time.Now()}
	for _, secret := range secrets {
		w.longest = max(w.longest, len(secret))
	}
	w.out, w.err = &stream{w: w, to: stdout}, &stream{w: w}
	return w
}

func (w *watch) stdout() io.Writer { return w.out }
func (w *watch) stderr() io.Writer { return w.err }

// wait ends the run when it takes too long.
func (w *watch) wait(ctx context.Context, end context.CancelCauseFunc, patience, limit time.Duration) {
	if patience <= 0 {
		patience = maxPatience
	}
	if limit <= 0 {
		limit = maxRun
	}
	first := min(firstSign, patience)
	began := time.Now()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		w.mu.Lock()
		alive, quiet := w.alive, time.Since(w.last)
		w.mu.Unlock()
		switch {
		case time.Since(began) > limit:
			end(&silence{fmt.Sprintf("it took longer than %s", limit)})
		case !alive && quiet > first:
			end(&silence{fmt.Sprintf("no answer within %s", first)})
		case quiet > patience:
			end(&silence{fmt.Sprintf("it fell silent for %s", patience)})
		}
	}
}

// stream is one output of git: it is cut into lines, bounded.
type stream struct {
	w    *watch
	to   io.Writer
	line []byte
	cr   bool // the line was returned to its beginning: ssh ends its lines so, too

	lines []string // without progress
	their int
}

func (s *stream) Write(p []byte) (int, error) {
	s.w.mu.Lock()
	s.w.alive, s.w.last = true, time.Now()
	for _, b := range p {
		if s.cr && b != '\n' && b != '\r' {
			s.line = s.line[:0] // it was progress, which is replaced
		}
		s.cr = b == '\r'
		switch {
		case b == '\n':
			s.keep(string(s.line))
			s.line = s.line[:0]
		case s.cr:
		case len(s.line) < maxLine:
			s.line = append(s.line, b)
		}
	}
	s.w.mu.Unlock()
	if s.to == nil {
		return len(p), nil
	}
	return s.to.Write(p)
}

// flush takes what ended without a line end.
func (w *watch) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range []*stream{w.err, w.out} {
		if len(s.line) > 0 {
			s.keep(string(s.line))
			s.line = nil
		}
	}
}

// progress is what git says about its work, on either side.
var progress = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(remote: )?(Enumerating|Counting|Compressing|Receiving|Resolving|Writing|Unpacking|Finding|Getting|Checking|Updating) [A-Za-z ]+: +\d|^(remote: )?Total \d+ \(delta`)
})

func (s *stream) keep(line string) {
	w := s.w
	if len(s.lines) >= maxLines && len(w.said) >= maxSaid || progress().MatchString(line) {
		return
	}
	cut := len(line) == maxLine
	line = w.scrub(line)
	if cut { // perhaps within a secret
		line = line[:max(0, len(line)-w.longest)]
	}
	line = clean(line)
	their := strings.HasPrefix(line, "remote: ")
	for _, prefix := range []string{"remote: ", "fatal: remote error: "} {
		if text, ok := strings.CutPrefix(line, prefix); ok && len(w.said) < maxSaid {
			w.said = append(w.said, text)
			if w.tell != nil {
				w.tell(text)
			}
		}
	}
	if line == "" || len(s.lines) >= maxLines || their && s.their >= maxTheir {
		return
	}
	s.lines = append(s.lines, line)
	if their {
		s.their++
	}
}

// clean makes a line of what a stranger wrote: no control, no character that
// changes how others are shown, no end of it in sight.
func clean(line string) string {
	var b strings.Builder
	n := 0
	for _, r := range line {
		switch {
		case r == '\t':
			r = ' '
		case r == utf8.RuneError, !printable(r):
			r = '?'
		}
		if n++; n > maxText {
			b.WriteString("...")
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " ")
}
