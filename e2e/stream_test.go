package e2e_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestRouteChangesDuringStream changes the routes of a running bottle while a
// stream of a minute runs through its sidecar: the stream arrives whole, the
// new route works, the removed one is refused and what was open to it is cut,
// and nothing in the bottle was started again.
func TestRouteChangesDuringStream(t *testing.T) {
	t.Parallel()
	const seconds = 60
	u := newUpstream(t, "keep.test", "gone.test", "new.test")
	h := newHome(t)
	bottle := func(hosts ...string) {
		routes := ""
		for _, host := range hosts {
			routes += u.route(host, "")
		}
		h.bottle("open", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+routes)
	}
	bottle("keep.test", "gone.test")
	agent := h.agent("reader", "open", "")
	h.must("apply", "-y")
	name := containerOf(t, agent, false)
	identity := func() string {
		return docker(t, "inspect", "--format", "{{.Id}} {{.State.Pid}} {{.State.StartedAt}}", name) + "\n" +
			docker(t, "inspect", "--format", "{{.Id}} {{.State.Pid}} {{.State.StartedAt}}", containerOf(t, agent, true)) + "\n" +
			h.must("exec", agent, "--", "stat", "-c", "%Y", "/proc/1").stdout
	}
	before := identity()
	stream := func(host string) streaming {
		return startStream(t, h, agent, fmt.Sprintf("https://%s/stream?seconds=%d", host, seconds))
	}
	kept, cut := stream("keep.test"), stream("gone.test")
	eventually(t, "both streams run", func() bool { return len(kept.events()) > 10 && len(cut.events()) > 10 })
	if h.run("exec", agent, "--", "curl", "-sSf", "https://new.test/early").code == 0 {
		t.Error("a route works before it is there")
	}

	time.Sleep(seconds / 3 * time.Second)
	bottle("keep.test", "new.test")
	h.must("apply", "-y").says(t, "Applied: 0 created, 1 updated, 0 replaced, 0 removed")
	select {
	case <-cut.ended:
	case <-time.After(2 * time.Second):
		t.Error("an open connection to a removed host goes on")
	}
	select {
	case <-kept.ended:
		t.Errorf("the change cut a stream that it was not about: %v\n%s", kept.err, kept.stderr.String())
	default:
	}
	h.settled()
	h.must("exec", agent, "--", "curl", "-sSf", "https://new.test/now")
	r := h.run("exec", agent, "--", "curl", "-sS", "https://gone.test/late")
	if !strings.Contains(r.stdout+r.stderr, "egress: ") && r.code == 0 {
		t.Errorf("the removed route still works: %s", r)
	}

	<-kept.ended
	kept.whole(t, 10*seconds)
	if n := len(cut.events()); n >= 10*seconds || cut.err == nil {
		t.Errorf("the stream of the removed host came to its end: %d events, %v", n, cut.err)
	}
	for _, s := range u.seen() {
		if s.Path == "/late" || s.Path == "/early" {
			t.Errorf("the outside saw %+v", s)
		}
	}
	if after := identity(); after != before {
		t.Errorf("something was started again:\n%s\n%s", before, after)
	}
	h.settled()
}

// streaming is a curl in a bottle that reads server-sent events.
type streaming struct{ *started }

func startStream(t *testing.T, h *home, agent, address string) streaming {
	t.Helper()
	return streaming{start(t, h, agent, "", "curl", "-sSfN", address)}
}

var eventNumber = regexp.MustCompile(`\{"n":([0-9]+)\}`)

// events are the numbers of those that came so far.
func (s streaming) events() (numbers []string) {
	for _, m := range eventNumber.FindAllSubmatch(s.out.bytes(), -1) {
		numbers = append(numbers, string(m[1]))
	}
	return numbers
}

// whole fails the test unless a stream that has ended brought all its events, in
// order.
func (s streaming) whole(t *testing.T, want int) {
	t.Helper()
	if s.err != nil {
		t.Errorf("the stream: %v\n%s", s.err, s.stderr.String())
	}
	events := s.events()
	for n, event := range events {
		if event != fmt.Sprint(n) {
			t.Fatalf("event %d is number %s", n, event)
		}
	}
	if len(events) != want {
		t.Errorf("want %d events, got %d", want, len(events))
	}
}

// TestLongStream reads one stream for half an hour (`make soak`), or for a
// quarter of a minute: longer than any timeout between the two ends.
func TestLongStream(t *testing.T) {
	t.Parallel()
	seconds := 15
	if soak() {
		seconds = 30 * 60
	}
	u := newUpstream(t, "keep.test")
	h := newHome(t)
	h.bottle("open", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+u.route("keep.test", ""))
	agent := h.agent("reader", "open", "")
	h.must("apply", "-y")
	s := startStream(t, h, agent, fmt.Sprintf("https://keep.test/stream?seconds=%d", seconds))
	select {
	case <-s.ended:
	case <-time.After(time.Duration(seconds)*time.Second + time.Minute):
		t.Fatalf("the stream does not end: %d events", len(s.events()))
	}
	s.whole(t, 10*seconds)
}
