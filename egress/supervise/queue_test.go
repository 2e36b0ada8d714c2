package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bot-bottle/bb/egress"
)

func route(host string) egress.Proposal {
	return egress.Proposal{Kind: egress.ProposeRoute, Reason: "because", Route: &egress.Route{Host: host, Port: 443}}
}

func add(t *testing.T, q *Queue, p egress.Proposal) *Item {
	t.Helper()
	i, err := q.Add(p)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestSameQuestionIsAskedOnce(t *testing.T) {
	q := New()
	first := add(t, q, route("a.example.com"))
	again := route("a.example.com")
	again.Reason = "more urgently"
	if add(t, q, again) != first {
		t.Error("it is asked twice")
	}
	if add(t, q, route("b.example.com")) == first {
		t.Error("another question is taken for it")
	}
	if len(first.p.ID) != 16 || first.p.Created.IsZero() || first.p.Reason != "because" {
		t.Errorf("%+v", first.p)
	}
}

func TestAnAgentGivesNoIDs(t *testing.T) {
	q := New()
	p := route("a.example.com")
	p.ID, p.Created = "1111111111111111", time.Unix(1, 0)
	if i := add(t, q, p); i.p.ID == "1111111111111111" || i.p.Created.Year() < 2000 {
		t.Errorf("%+v", i.p)
	}
}

func TestWaitAndAskAgain(t *testing.T) {
	q := New()
	i := add(t, q, route("a.example.com"))
	if _, ok, err := q.Wait(t.Context(), i, time.Millisecond); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	want := egress.Answer{ID: i.p.ID, Verdict: egress.Approved, Reason: "fine"}
	if err := q.Answer(want); err != nil {
		t.Fatal(err)
	}
	if err := q.Answer(egress.Answer{ID: i.p.ID, Verdict: egress.Rejected}); !errors.Is(err, ErrGone) {
		t.Errorf("a second answer: %v", err)
	}
	again := add(t, q, route("a.example.com")) // nobody waited when it was answered
	if a, ok, err := q.Wait(t.Context(), again, time.Second); !ok || err != nil || a.Reason != want.Reason || a.Verdict != want.Verdict {
		t.Errorf("%+v, %v, %v", a, ok, err)
	}
	if add(t, q, route("a.example.com")) == i {
		t.Error("an answer is told for ever")
	}
}

func TestOldAnswersAreForgotten(t *testing.T) {
	q, now := New(), time.Now()
	q.now = func() time.Time { return now }
	i := add(t, q, route("a.example.com"))
	if err := q.Answer(egress.Answer{ID: i.p.ID, Verdict: egress.Approved}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(answerTime + time.Second)
	if add(t, q, route("a.example.com")) == i {
		t.Error("an approval of long ago counts")
	}
}

func TestFullIsTold(t *testing.T) {
	q := New()
	for n := range egress.MaxProposals {
		add(t, q, route(fmt.Sprintf("h%d.example.com", n)))
	}
	if _, err := q.Add(route("one-more.example.com")); !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	add(t, q, route("h3.example.com")) // that one waits already
	if err := q.Answer(egress.Answer{ID: q.waiting[0].p.ID, Verdict: egress.Rejected}); err != nil {
		t.Fatal(err)
	}
	add(t, q, route("one-more.example.com"))
	for n := range 10 * maxAnswers { // answered ones are bounded too
		if err := q.Answer(egress.Answer{ID: q.waiting[0].p.ID, Verdict: egress.Rejected}); err != nil {
			t.Fatal(err)
		}
		add(t, q, route(fmt.Sprintf("x%d.example.com", n)))
	}
	if len(q.answered) > maxAnswers {
		t.Errorf("%d answers are kept", len(q.answered))
	}
}

// Each kind has places of its own: pushes that are refused keep no question from
// a person, and no request.
func TestKindsHaveTheirOwnPlaces(t *testing.T) {
	push := func(n int) egress.Proposal {
		return egress.Proposal{Kind: egress.ProposePush, Push: &egress.PushNotice{Remote: "origin", Ref: fmt.Sprint("refs/heads/", n)}}
	}
	held := func(n int) egress.Proposal {
		return egress.Proposal{Kind: egress.ProposeValue, Held: &egress.HeldValue{Host: "a.example.com", Digests: []string{fmt.Sprint(n)}}}
	}
	ask := func(n int) egress.Proposal { return route(fmt.Sprintf("h%d.example.com", n)) }
	q := New()
	for _, tt := range []struct {
		make func(int) egress.Proposal
		room int
		want error
	}{{push, egress.MaxPushes, ErrMany}, {held, egress.MaxHeld, ErrMany}, {ask, egress.MaxProposals, ErrFull}} {
		for n := range 2 * tt.room {
			if _, err := q.Add(tt.make(n)); n < tt.room && err != nil || n >= tt.room && !errors.Is(err, tt.want) {
				t.Errorf("%s %d: %v", tt.make(n).Kind, n, err)
			}
		}
	}
	docker := egress.Proposal{Kind: egress.ProposeCapability, Dockerfile: "FROM x"}
	if _, err := q.Add(docker); !errors.Is(err, ErrFull) {
		t.Errorf("an image has places of its own: %v", err)
	}
	if len(q.waiting) != egress.MaxWaiting {
		t.Errorf("%d wait", len(q.waiting))
	}
}

// A no stands for a while: the same question is answered with it, as often as it
// is asked, and no person is asked again (attack G6).
func TestRejectionStands(t *testing.T) {
	q, now := New(), time.Now()
	q.now = func() time.Time { return now }
	held := egress.Proposal{Kind: egress.ProposeValue, Held: &egress.HeldValue{Host: "a.example.com", Port: 443, Digests: []string{"d"}}}
	for _, p := range []egress.Proposal{route("a.example.com"), held} {
		i := add(t, q, p)
		if err := q.Answer(egress.Answer{ID: i.p.ID, Verdict: egress.Rejected, Reason: "use the mirror"}); err != nil {
			t.Fatal(err)
		}
		p.Reason = "but really"
		for range 3 {
			a, ok, err := q.Wait(t.Context(), add(t, q, p), time.Second)
			if err != nil || !ok || a.Verdict != egress.Rejected || a.Reason != "use the mirror" || len(q.waiting) > 0 {
				t.Fatalf("%s: %+v, %v, %v; %d wait", p.Kind, a, ok, err, len(q.waiting))
			}
		}
	}
	now = now.Add(answerTime + time.Second)
	for n, p := range []egress.Proposal{route("a.example.com"), held} {
		if add(t, q, p); len(q.waiting) != n+1 {
			t.Errorf("%s: it stands for ever", p.Kind)
		}
	}
}

// A request whose client hung up waits no more, once it had the time to come
// again; a question waits on.
func TestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New()
		i := add(t, q, egress.Proposal{Kind: egress.ProposeValue, Held: &egress.HeldValue{Host: "a.example.com"}})
		ask := add(t, q, route("a.example.com"))
		wait := func(i *Item, patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, _, err := q.Wait(ctx, i, time.Hour)
			return err
		}
		_ = wait(ask, time.Second)
		_ = wait(i, time.Second)
		time.Sleep(leftTime - time.Second)
		_ = wait(i, 3*time.Second) // it came again in time
		if len(q.waiting) != 2 {
			t.Error("it is gone while its client waits")
		}
		other := make(chan error, 1)
		go func() { other <- wait(i, time.Hour) }()
		_ = wait(i, time.Second) // one of two left
		time.Sleep(2 * leftTime)
		if len(q.waiting) != 2 {
			t.Error("it is gone while another waits")
		}
		if err := q.Answer(egress.Answer{ID: i.p.ID, Verdict: egress.Approved}); err != nil || <-other != nil {
			t.Error("the other has no answer")
		}
		i = add(t, q, egress.Proposal{Kind: egress.ProposeValue, Held: &egress.HeldValue{Host: "a.example.com"}})
		_ = wait(i, time.Second)
		time.Sleep(leftTime + time.Second)
		if err := wait(i, time.Second); !errors.Is(err, ErrLeft) || len(q.waiting) != 1 || q.waiting[0] != ask {
			t.Errorf("%v, %d wait", err, len(q.waiting))
		}
	})
}

func TestExpired(t *testing.T) {
	q := New()
	p := route("a.example.com")
	p.Expires = time.Now().Add(20 * time.Millisecond)
	i := add(t, q, p)
	if _, ok, err := q.Wait(t.Context(), i, 5*time.Second); ok || !errors.Is(err, ErrExpired) {
		t.Errorf("%v, %v", ok, err)
	}
	if err := q.Answer(egress.Answer{ID: i.p.ID, Verdict: egress.Approved}); !errors.Is(err, ErrGone) {
		t.Errorf("answered too late: %v", err)
	}
}

func TestBadVerdict(t *testing.T) {
	q := New()
	i := add(t, q, route("a.example.com"))
	for _, v := range []string{"", "yes", "Approved"} {
		if err := q.Answer(egress.Answer{ID: i.p.ID, Verdict: v}); err == nil || errors.Is(err, ErrGone) {
			t.Errorf("%q: %v", v, err)
		}
	}
}

// A watcher that does not read is cut off, and holds up nobody.
func TestSlowWatcher(t *testing.T) {
	q := New()
	slow := q.Watch()
	for n := range 3 * maxBehind {
		i := add(t, q, route(fmt.Sprintf("x%d.example.com", n)))
		q.Withdraw(i, ErrExpired)
	}
	n := 0
	for range slow.Events() {
		n++
	}
	if n == 0 || n > 2*maxBehind {
		t.Errorf("%d events", n)
	}
	slow.Close() // twice is nothing
	oldest := q.Watch()
	<-oldest.Events() // Listed
	for range MaxWatchers {
		defer q.Watch().Close()
	}
	if _, more := <-oldest.Events(); more || len(q.watchers) != MaxWatchers || !strings.HasPrefix(oldest.why, "too many watch it") {
		t.Errorf("%d watch, %q", len(q.watchers), oldest.why)
	}
}

// An answer is for the one that asked: a held request asks each time.
func TestHeldRequestsShareNoAnswer(t *testing.T) {
	q := New()
	held := egress.Proposal{Kind: egress.ProposeValue, Held: &egress.HeldValue{Host: "a.example.com", Port: 443, Digests: []string{"d"}}}
	i := add(t, q, held)
	if err := q.Answer(egress.Answer{ID: i.p.ID, Verdict: egress.Approved}); err != nil {
		t.Fatal(err)
	}
	if add(t, q, held) == i {
		t.Error("an old approval lets another request pass")
	}
}

func TestClear(t *testing.T) {
	q, why := New(), errors.New("off")
	i := add(t, q, route("a.example.com"))
	q.Clear(why)
	if _, ok, err := q.Wait(t.Context(), i, time.Second); ok || !errors.Is(err, why) {
		t.Errorf("%v, %v", ok, err)
	}
}

// talk is a host that watches.
type talk struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Scanner
}

func newTalk(t *testing.T, q *Queue) *talk {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		q.Talk(far)
	}()
	t.Cleanup(func() {
		_ = near.Close()
		<-done
	})
	_ = near.SetDeadline(time.Now().Add(10 * time.Second))
	return &talk{t, near, bufio.NewScanner(near)}
}

func (k *talk) hears() (e egress.SuperviseEvent) {
	k.t.Helper()
	if !k.in.Scan() {
		k.t.Fatalf("it ended: %v", k.in.Err())
	}
	if err := json.Unmarshal(k.in.Bytes(), &e); err != nil {
		k.t.Fatal(err)
	}
	return e
}

func (k *talk) says(line string) {
	k.t.Helper()
	if _, err := k.conn.Write([]byte(line + "\n")); err != nil {
		k.t.Fatal(err)
	}
}

func TestTalk(t *testing.T) {
	q := New()
	i := add(t, q, route("a.example.com"))
	k := newTalk(t, q)
	if e := k.hears(); e.Proposal == nil || e.Proposal.ID != i.p.ID {
		t.Errorf("%+v", e)
	}
	if e := k.hears(); !e.Listed {
		t.Errorf("%+v", e)
	}
	for _, line := range []string{"", "no json", `{"id":"0000000000000000","verdict":"approved"}`, `{"id":"` + i.p.ID + `","verdict":"perhaps"}`} {
		k.says(line)
		if e := k.hears(); e.Refused == "" {
			t.Errorf("%q: %+v", line, e)
		}
	}
	k.says(`{"id":"` + i.p.ID + `","verdict":"rejected","reason":"no"}`)
	if e := k.hears(); e.Gone != i.p.ID || e.Why != egress.Rejected {
		t.Errorf("%+v", e)
	}
	second := add(t, q, route("b.example.com"))
	if e := k.hears(); e.Proposal == nil || e.Proposal.Route.Host != "b.example.com" {
		t.Errorf("%+v", e)
	}
	q.Withdraw(second, ErrExpired)
	if e := k.hears(); e.Gone != second.p.ID || !strings.Contains(e.Why, "in time") {
		t.Errorf("%+v", e)
	}
}

// Who is cut off is told why.
func TestTalkTellsWhyItEnds(t *testing.T) {
	q := New()
	k := newTalk(t, q)
	k.hears()
	for range MaxWatchers {
		defer q.Watch().Close()
	}
	if e := k.hears(); !strings.HasPrefix(e.Ended, "too many watch it") {
		t.Errorf("%+v", e)
	}
}

func FuzzTalk(f *testing.F) {
	f.Add([]byte(`{"id":"0000000000000000","verdict":"approved"}` + "\n"))
	f.Add([]byte("\n\n{"))
	f.Fuzz(func(t *testing.T, said []byte) {
		q := New()
		i, err := q.Add(route("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() {
			q.Talk(far)
			close(done)
		}()
		go func() {
			s := bufio.NewScanner(near)
			for s.Scan() {
			}
		}()
		_, _ = near.Write(said)
		_ = near.Close()
		<-done
		select {
		case <-i.done:
			t.Errorf("%q answers a proposal whose id it does not know", said)
		default:
		}
	})
}
