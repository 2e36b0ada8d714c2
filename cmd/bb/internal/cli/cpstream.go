package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress/door/tree"
	"github.com/bot-bottle/bb/engine/diag"
)

// lastWords is how long a bottle gets to clean up after a copy was given up.
const lastWords = 5 * time.Second

// read starts the sending side in the bottle. wait gives it up, or lets it
// end, and returns what went wrong, the cause before its consequences.
func (j *copying) read(ctx context.Context) (stream *io.PipeReader, wait func(context.Context, error) error) {
	if j.archive != nil {
		return j.readStill(ctx)
	}
	r, w := io.Pipe()
	said := &words{}
	type result struct {
		code int
		err  error
	}
	done := make(chan result, 1)
	go func() {
		code, err := j.driver.Exec(ctx, j.id, backends.ExecRequest{Argv: j.argv("pack"), Stdout: w, Stderr: said})
		_ = w.CloseWithError(err)
		done <- result{code, err}
	}()
	// Whatever the driver still has to do, nothing more is written.
	stop := context.AfterFunc(ctx, func() { _ = r.CloseWithError(context.Cause(ctx)) })
	return r, func(ctx context.Context, failed error) error {
		defer stop()
		e := <-done
		var refused *tree.Refused
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(failed, &refused):
			return failed
		case e.err == nil && e.code != 0:
			return j.guestSaid(said, e.code)
		case failed != nil && !errors.Is(failed, e.err):
			return fmt.Errorf("%s: %w", j.shown, failed)
		case e.err != nil:
			return e.err
		}
		said.print(j.app.stderr, j.id.String()) // what was left out
		return failed
	}
}

// write sends what pack writes to a command in the bottle. The command starts
// with the first byte: what is refused before costs nothing. When ctx ends its
// input does, and it removes what is half.
func (j *copying) write(ctx context.Context, argv []string, pack func(io.Writer) error) error {
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(w)
		_ = w.CloseWithError(err)
		packed <- err
	}()
	buffered := bufio.NewReaderSize(r, 256<<10)
	if _, err := buffered.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = r.CloseWithError(context.Cause(ctx))
		time.AfterFunc(lastWords, cancel)
	})
	defer stop()
	said := &words{}
	code, err := j.driver.Exec(patient, j.id, backends.ExecRequest{Argv: argv, Stdin: ending{buffered}, Stdout: io.Discard, Stderr: said})
	_ = r.CloseWithError(io.ErrClosedPipe)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case failed := <-packed:
		if failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
			return failed
		}
	case <-time.After(time.Second): // a stream of the user's that does not end
	}
	switch {
	case err != nil:
		return err
	case code != 0:
		return j.guestSaid(said, code)
	}
	said.print(j.app.stderr, j.id.String())
	return nil
}

// ending is a stream that ends where it fails: a driver goes on waiting for the
// rest of input that it could not read. An archive that is cut short is refused
// on the other side.
type ending struct{ io.Reader }

func (e ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// guestSaid is the error that bb in the bottle printed.
func (j *copying) guestSaid(said *words, code int) error {
	text := said.String()
	if text == "" {
		text = fmt.Sprintf("exit code %d", code)
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines[1:] {
		if !strings.HasPrefix(l, "  ") {
			lines[i+1] = "  " + l // a line of its own would be bb's
		}
	}
	return errors.New(j.shown + ": " + strings.Join(lines, "\n"))
}

// explain adds the next step to a list of refusals, the bottle's too.
func (j *copying) explain(err error) error {
	if strings.Contains(err.Error(), "cannot be copied:") {
		if j.archive != nil {
			return diag.Errorf("%v", err).WithHint("--skip copies the rest; bb cp %s - writes all of it, as tar", j.shown)
		}
		return diag.Errorf("%v", err).WithHint("--skip copies the rest")
	}
	return err
}

// words keeps the beginning of what a bottle says on standard error.
type words struct{ text strings.Builder }

func (s *words) Write(p []byte) (int, error) {
	s.text.WriteString(string(p[:min(len(p), max(0, 8<<10-s.text.Len()))]))
	return len(p), nil
}

// String is the text without the marks that bb puts before a message.
func (s *words) String() string {
	return strings.ReplaceAll("\n"+strings.TrimSpace(s.text.String()), "\nbb: ", "\n")[1:]
}

// print marks every line as the bottle's: an agent can speak there too, and
// must not do so in bb's name.
func (s *words) print(w io.Writer, who string) {
	const most = 30
	n := 0
	for line := range strings.Lines(s.String()) {
		if n++; n > most {
			fmt.Fprintf(w, "%s says more\n", who)
			return
		}
		if line = strings.TrimRight(line, "\n"); line != "" {
			fmt.Fprintf(w, "%s says: %s\n", who, view.Escape(line))
		}
	}
}
