package fakesmol

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// maxExecOutput is where smolvm cuts the output of a plain exec, silently.
const maxExecOutput = 11 << 20

func execute(s *state, p *parsed) error {
	r, err := s.known(p)
	if err != nil {
		return err
	}
	q := request{Op: "exec", Argv: p.rest, Dir: p.one("workdir"), Detach: p.has("detach")}
	if q.Detach && (p.has("interactive") || p.has("stream")) {
		return usage{"the argument '--detach' cannot be used with '--interactive'", commands["exec"].line("exec")}
	}
	for _, e := range p.values["env"] {
		if !strings.Contains(e, "=") {
			e += "=" + os.Getenv(e)
		}
		q.Env = append(q.Env, e)
	}
	if p.has("timeout") {
		if q.Timeout, err = time.ParseDuration(p.one("timeout")); err != nil {
			return usage{fmt.Sprintf("invalid value '%s' for '--timeout <DURATION>'", p.one("timeout")), commands["exec"].line("exec")}
		}
	}
	if err := s.running(r.Name); err != nil {
		return err
	}
	done, err := s.streams(p)
	if err != nil {
		return err
	}
	answer, err := s.ask(r.Name, q, done.files, 0)
	done.finish()
	switch {
	case err != nil:
		return fail("agent operation failed: exec: %s", oneLine(err))
	case answer.TimedOut:
		fmt.Fprintf(os.Stderr, "command timed out after %dms\n", q.Timeout.Milliseconds())
		return exitCode(124)
	case q.Detach:
		fmt.Println(answer.PID)
		return nil
	}
	if err := s.faultAfter("exec"); err != nil {
		return err
	}
	if answer.Code != 0 {
		return exitCode(answer.Code & 0xff)
	}
	return nil
}

func (s *state) running(name string) error {
	if s.answers(name) {
		return nil
	}
	if s.process(name) != 0 {
		return fail("agent operation failed: connect: machine '%s' is unreachable: the agent does not respond", name)
	}
	return fail("agent operation failed: connect: machine '%s' is not running. Use 'smolvm machine start --name %s' first.", name, name)
}

// plumbing is what stands between this process's streams and the machine's.
type plumbing struct {
	files  []*os.File
	finish func() // call once the command has ended
}

// streams gives the machine pipes, never a descriptor that others hold too: a
// command in a micro-VM has none of them either.
func (s *state) streams(p *parsed) (*plumbing, error) {
	live := p.has("interactive") || p.has("stream")
	inside, outside, err := pipes(3)
	if err != nil {
		return nil, err
	}
	if p.has("interactive") {
		go func() {
			_, _ = io.Copy(outside[0], os.Stdin) // until one of them ends
			_ = outside[0].Close()
		}()
	} else {
		_ = outside[0].Close()
	}
	limit := int64(-1)
	if s.take("exec", FaultTruncate) {
		limit = 3
	}
	var copies sync.WaitGroup
	for i, to := range []io.Writer{os.Stdout, os.Stderr} {
		copies.Go(func() {
			var from io.Reader = outside[i+1]
			switch {
			case limit >= 0:
				from = io.LimitReader(from, limit)
			case !live:
				from = io.LimitReader(from, maxExecOutput)
			}
			_, _ = io.Copy(to, from)
			_, _ = io.Copy(io.Discard, outside[i+1])
		})
	}
	return &plumbing{inside, func() {
		for _, f := range inside {
			_ = f.Close()
		}
		// What the command left behind may hold its output open: as smolvm, do
		// not wait for that.
		ended := make(chan struct{})
		go func() {
			copies.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(time.Second):
		}
	}}, nil
}

// pipes returns the machine's ends and ours: the first is read inside.
func pipes(n int) (inside, outside []*os.File, err error) {
	for i := range n {
		r, w, pipeErr := os.Pipe()
		err = errors.Join(err, pipeErr)
		if i > 0 {
			r, w = w, r
		}
		inside, outside = append(inside, r), append(outside, w)
	}
	return inside, outside, err
}
