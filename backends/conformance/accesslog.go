package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// accessLog holds a driver to streaming the log: a reply, whole lines, an end.
func accessLog(t *testing.T, s *suite) {
	mustFail(t, "the log of no sidecar", s.d.AccessLog(t.Context(), s.Spec.ID, egress.LogRequest{}, &bytes.Buffer{}))
	s.up(t, "")
	read := func() (egress.LogSpan, string) {
		t.Helper()
		out := &bytes.Buffer{}
		must(t, "read the log", s.d.AccessLog(t.Context(), s.Spec.ID, egress.LogRequest{}, out))
		return span(t, out.String())
	}
	first, text := read()
	if int64(len(text)) != first.End-first.At {
		t.Errorf("%d bytes are %+v", len(text), first)
	}
	pushes := &bytes.Buffer{}
	must(t, "read the log of pushes", s.d.AccessLog(t.Context(), s.Spec.ID, egress.LogRequest{Log: egress.LogGit}, pushes))
	if at, text := span(t, pushes.String()); at != (egress.LogSpan{}) || text != "" {
		t.Errorf("nothing was pushed: %+v %s", at, text)
	}
	mustFail(t, "a log that is none", s.d.AccessLog(t.Context(), s.Spec.ID, egress.LogRequest{Log: "x"}, &bytes.Buffer{}))

	// More often than a sidecar has readers: each has to be let go of.
	for range 6 {
		ctx, cancel := context.WithCancel(t.Context())
		out, ended := &buffer{}, make(chan error, 1)
		go func() {
			ended <- s.d.AccessLog(ctx, s.Spec.ID, egress.LogRequest{Follow: true, Since: first.End}, out)
		}()
		waitFor(t, "the reply", func() bool { return strings.Contains(out.String(), "\n") })
		if s.Runs {
			waitFor(t, "a decision in the log", func() bool {
				_, err := s.exec(t, backends.ExecRequest{Argv: []string{spec.BinaryPath, "door", "probe"}})
				must(t, "probe", err)
				return strings.Contains(out.String(), `"verdict":"local"`)
			})
		}
		cancel()
		select {
		case err := <-ended:
			must(t, "follow until it is enough", err)
		case <-time.After(patience):
			t.Fatal("following does not end")
		}
		if at, _ := span(t, out.String()); at.At != first.End {
			t.Errorf("asked for %d, got %+v", first.End, at)
		}
	}
	if last, text := read(); s.Runs && (last.End <= first.End || !strings.Contains(text, s.Spec.ID.Name())) {
		t.Errorf("%+v after %+v: %s", last, first, text)
	}
}

func span(t *testing.T, answer string) (egress.LogSpan, string) {
	t.Helper()
	head, text, _ := strings.Cut(answer, "\n")
	var reply egress.Reply
	var span egress.LogSpan
	if err := json.Unmarshal([]byte(head), &reply); err != nil || !reply.OK {
		t.Fatalf("reply %q: %v", head, err)
	}
	must(t, "span", json.Unmarshal(reply.Data, &span))
	for line := range strings.Lines(text) {
		if !json.Valid([]byte(line)) || !strings.HasSuffix(line, "\n") {
			t.Errorf("not a line of JSON: %q", line)
		}
	}
	return span, text
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no sign of %s", what)
		}
	}
}
