package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// person answers what is asked, and remembers it.
type person struct {
	mu     sync.Mutex
	asked  []egress.HeldValue
	answer func(egress.HeldValue) (egress.Answer, error)
}

func (p *person) ask(_ context.Context, h egress.HeldValue) (egress.Answer, error) {
	p.mu.Lock()
	p.asked = append(p.asked, h)
	answer := p.answer
	p.mu.Unlock()
	return answer(h)
}

func (p *person) was(t *testing.T, times int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked) != times {
		t.Errorf("asked %d times, want %d: %+v", len(p.asked), times, p.asked)
	}
}

// TestHeld: what looks like a credential passes where a person said so, to that
// host, for so long; a yes that is not in force allows nothing; and what the
// sidecar keeps secret is not asked about.
func TestHeld(t *testing.T) {
	now := time.Now()
	someone := &person{}
	a, b := route("a.example", 443), route("b.example", 443)
	a.DLP, b.DLP = &egress.DLP{OnMatch: egress.OnMatchSupervise}, &egress.DLP{OnMatch: egress.OnMatchSupervise}
	w := newWorldWith(t, Options{Inspector: newSmall, Ask: someone.ask, Now: func() time.Time { return now }})
	w.policy(a, b)
	w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	c := w.client(true)
	send := func(want int, host, body, text string, header ...string) {
		t.Helper()
		res, said := do(t, c, "POST", "https://"+host+"/x", strings.NewReader(body), header...)
		if res.StatusCode != want || text != "" && !strings.Contains(said, text) {
			t.Errorf("%s %q: %s %s, want %d with %q", host, body, res.Status, said, want, text)
		}
	}
	answering := func(verdict, reason string, err error) {
		someone.answer = func(egress.HeldValue) (egress.Answer, error) {
			return egress.Answer{Verdict: verdict, Reason: reason}, err
		}
	}
	approve := func(until time.Time, digests ...string) {
		doc := w.document(a, b)
		for _, d := range digests {
			doc.ApprovedValues = append(doc.ApprovedValues, egress.ApprovedValue{Digest: d, Host: "a.example", Port: 443, Expires: until})
		}
		w.swap(doc)
	}

	answering(egress.Rejected, "use the fixture", nil)
	send(403, "a.example", lookalike, "said no: use the fixture")
	answering("", "", errors.New("nobody answered in time"))
	send(403, "a.example", "", "nobody answered in time", "X-A", lookalike)
	answering(egress.Approved, "", nil)
	send(403, "a.example", lookalike, "the policy in force does not")
	someone.was(t, 3)
	h := someone.asked[0]
	if h.Host != "a.example" || h.Port != 443 || h.Method != "POST" || h.Path != "/x" || h.Place != "the body" || h.Detector != "fake token" || len(h.Digests) != 1 {
		t.Errorf("asked about %+v", h)
	}
	if strings.Contains(strings.Join(h.Digests, " "), lookalike) || h.Digests[0] != someone.asked[1].Digests[0] {
		t.Errorf("digests %v, %v", h.Digests, someone.asked[1].Digests)
	}
	someone.answer = func(h egress.HeldValue) (egress.Answer, error) {
		approve(now.Add(time.Hour), h.Digests...)
		return egress.Answer{Verdict: egress.Approved}, nil
	}
	send(200, "a.example", lookalike, "")
	answering(egress.Rejected, "no more", nil)
	send(200, "a.example", "again "+lookalike, "")
	send(200, "a.example", "", "", "X-A", lookalike)
	someone.was(t, 4) // it is remembered
	send(403, "b.example", lookalike, "no more")
	send(403, "a.example", lookalike+" and fake_"+strings.Repeat("z", 16), "no more") // one of two
	someone.was(t, 6)
	for _, known := range []string{secret, canary} {
		send(403, "a.example", known+" "+lookalike, "no rule allows it")
	}
	someone.was(t, 6)
	now = now.Add(time.Hour)
	send(403, "a.example", lookalike, "no more")
	someone.was(t, 7)
	for _, e := range w.entries {
		if e.Status == 200 && (e.Detector != "fake token" || e.Reason != "approved by a person") {
			t.Errorf("logged %+v", e)
		}
	}
}

// TestHeldRuleMoves: a held request goes on only under the rule that it was
// searched by and logged in with, though the value is approved meanwhile.
func TestHeldRuleMoves(t *testing.T) {
	someone := &person{}
	a := route("a.example", 443)
	a.DLP = &egress.DLP{OnMatch: egress.OnMatchSupervise}
	w := newWorldWith(t, Options{Inspector: newSmall, Ask: someone.ask})
	w.serve("443", true, func(http.ResponseWriter, *http.Request) {})
	c := w.client(true)
	blocks, narrow, elsewhere, wider := a, a, a, a
	blocks.DLP = &egress.DLP{OnMatch: egress.OnMatchBlock}
	narrow.Matches = []egress.Match{{Paths: []string{"/y"}}}
	elsewhere.Host = "b.example"
	wider.Matches = []egress.Match{{Methods: []string{"POST"}}}
	for want, next := range map[int][]egress.Route{403: {blocks, narrow, elsewhere}, 200: {a, wider}} {
		for _, r := range next {
			w.policy(a)
			someone.answer = func(h egress.HeldValue) (egress.Answer, error) {
				doc := w.document(r)
				doc.ApprovedValues = []egress.ApprovedValue{{Digest: h.Digests[0], Host: "a.example", Port: 443}}
				w.swap(doc)
				return egress.Answer{Verdict: egress.Approved}, nil
			}
			if res, said := do(t, c, "POST", "https://a.example/x", strings.NewReader(lookalike)); res.StatusCode != want {
				t.Errorf("%+v: %s %s, want %d", r, res.Status, said, want)
			}
		}
	}
}

// TestHeldValuesAreFew: what holds more values than a person could be told of is
// blocked, and nobody is asked.
func TestHeldValuesAreFew(t *testing.T) {
	someone := &person{answer: func(egress.HeldValue) (egress.Answer, error) { return egress.Answer{Verdict: egress.Rejected}, nil }}
	a := route("a.example", 443)
	a.DLP = &egress.DLP{OnMatch: egress.OnMatchSupervise}
	w := newWorldWith(t, Options{Inspector: newSmall, Ask: someone.ask})
	w.policy(a)
	c := w.client(true)
	var text strings.Builder
	for n := range egress.MaxHeldValues {
		fmt.Fprintf(&text, "fake_%016d ", n)
	}
	do(t, c, "POST", "https://a.example/", strings.NewReader(text.String()))
	someone.was(t, 1)
	text.WriteString("fake_" + strings.Repeat("z", 16))
	if res, said := do(t, c, "POST", "https://a.example/", strings.NewReader(text.String())); res.StatusCode != 403 || !strings.Contains(said, "too many of them to ask a person about") {
		t.Errorf("%s %s", res.Status, said)
	}
	someone.was(t, 1)
}

// TestHeldAreFew: those that wait keep their bodies, and are bounded.
func TestHeldAreFew(t *testing.T) {
	waiting, end := make(chan struct{}, 100), make(chan struct{})
	someone := &person{answer: func(egress.HeldValue) (egress.Answer, error) {
		waiting <- struct{}{}
		<-end
		return egress.Answer{Verdict: egress.Rejected}, nil
	}}
	a := route("a.example", 443)
	a.DLP = &egress.DLP{OnMatch: egress.OnMatchSupervise}
	w := newWorldWith(t, Options{Inspector: newSmall, Ask: someone.ask})
	w.policy(a)
	c := w.client(true)
	var all sync.WaitGroup
	for range egress.MaxHeld {
		all.Go(func() { do(t, c, "POST", "https://a.example/", strings.NewReader(lookalike)) })
	}
	for range egress.MaxHeld {
		<-waiting
	}
	if res, said := do(t, c, "POST", "https://a.example/", strings.NewReader(lookalike)); res.StatusCode != 503 || !strings.Contains(said, "wait for a person") {
		t.Errorf("one more: %s %s", res.Status, said)
	}
	close(end)
	all.Wait()
}
