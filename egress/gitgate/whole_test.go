package gitgate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate/leaks"
)

// slow is one who takes nothing for longer than git's own grace.
type slow struct {
	bytes.Buffer
	once bool
}

func (s *slow) Write(p []byte) (int, error) {
	if !s.once {
		s.once = true
		time.Sleep(gitGrace + time.Second)
	}
	return s.Buffer.Write(p)
}

// What git wrote before it ended is read whole, however slow its reader: a
// list of objects without its end is a list of what is not searched.
func TestASlowReaderGetsAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bare := w.remote("origin")
	id := w.git(bare, "rev-parse", "main")
	for _, lines := range []int{10, 1500} { // one fits into a pipe
		asked, out := strings.Repeat(id+"\n", lines), &slow{}
		err := w.gate.git(t.Context(), gitRun{
			Dir: bare, Args: []string{"cat-file", "--buffer", "--batch-check=%(objectname)"}, Stdin: strings.NewReader(asked), Stdout: out,
		})
		if err != nil || out.String() != asked {
			t.Errorf("%v, %d of %d bytes", err, out.Len(), len(asked))
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

// One who cannot take it makes it fail, and the end of the time ends it.
func TestAReaderThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bare := w.remote("origin")
	run := gitRun{Dir: bare, Args: []string{"for-each-ref"}, Stdout: broken{}}
	if err := w.gate.git(t.Context(), run); err == nil {
		t.Error("what was not written is no error")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r, into := io.Pipe()
	run.Stdout = into
	context.AfterFunc(ctx, func() { _ = r.Close() })
	if err := w.gate.git(ctx, run); err == nil {
		t.Error("what nobody read is no error")
	}
}

// A search that is slower than the list of what to search sees all of it.
func TestASlowSearchSeesAll(t *testing.T) {
	t.Parallel()
	b := newBench(t, egress.Push{})
	b.git("checkout", "-q", "-b", "work")
	for i := range 3000 {
		b.write(fmt.Sprintf("%03d/%s-%04d", i/100, strings.Repeat("n", 90), i), fmt.Sprint(i))
	}
	b.write("zz/last", secret)
	b.commit("much")
	b.gate.scan = func(ctx context.Context, req leaks.Request, objects io.Reader) (leaks.Report, error) {
		r := bufio.NewReader(objects)
		_, _ = r.Peek(1)
		if len(req.Refs) > 0 {
			time.Sleep(gitGrace + 2*time.Second)
		}
		return searcher(ctx, req, r)
	}
	b.refused("test-secret", "work")
	b.git("rm", "-q", "zz/last")
	b.git("commit", "-q", "--amend", "-m", "much")
	b.accepted("work")
}
