package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// exchange is one request of a real apply, with all that went over its
// connection until the next one.
type exchange struct {
	call       call
	uri        string
	header     http.Header
	length     int64 // as the request said; -1: chunked
	body       []byte
	stream     []byte // what bb sent after the upgrade
	answer     []byte // all that the engine said
	began, end time.Time
	bottle     string // "": serves all
}

// recording listens along an engineProxy.
type recording struct {
	mu        sync.Mutex
	current   map[int]*exchange // by connection
	exchanges []*exchange
}

func (r *recording) sent(connection int, c call, req *http.Request, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := &exchange{call: c, uri: req.URL.RequestURI(), header: req.Header.Clone(), length: req.ContentLength, body: body, began: time.Now()}
	r.current[connection] = x
	r.exchanges = append(r.exchanges, x)
}

func (r *recording) raw(connection int, fromEngine bool, p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.current[connection]
	if fromEngine {
		x.answer, x.end = append(x.answer, p...), time.Now()
	} else {
		x.stream = append(x.stream, p...)
	}
}

// parsed is the answer's status and as much of its body as bb waited for.
func (x *exchange) parsed(t testing.TB) (status int, body []byte) {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(x.answer)), &http.Request{Method: x.call.Method})
	if err != nil {
		t.Fatalf("%v: %v", x.call, err)
	}
	if r.StatusCode != http.StatusSwitchingProtocols {
		body, _ = io.ReadAll(r.Body) // bb leaves a stream that it has heard enough of
	}
	return r.StatusCode, body
}

var (
	bottleName = regexp.MustCompile(`bb-([a-z0-9-]+(?:_[0-9]+)?-[0-9a-f]{6})(?:_s|_door|_ca)?(?:[^0-9a-z_-]|$)`)
	longID     = regexp.MustCompile(`[0-9a-f]{64}`)
)

// script is a recorded apply, sorted into what came before any bottle, and
// one sequence for each bottle.
type script struct {
	before  [][]*exchange // each group at once, one group after the other
	bottles [][]*exchange
}

// script sorts a recording of an apply with --parallel 1. What names no bottle
// belongs to the next one that does: within one operation of bb's, requests
// come one after the other.
func (r *recording) script(t testing.TB) script {
	t.Helper()
	owner := map[string]string{}
	var order []string
	sequences := map[string][]*exchange{}
	var s script
	var waiting []*exchange
	for _, x := range r.exchanges {
		x.bottle = bottleOf(x, owner)
		waiting = append(waiting, x)
		if x.bottle == "" {
			continue
		}
		if id := idIn(x, t); id != "" {
			owner[id] = x.bottle
		}
		if sequences[x.bottle] == nil {
			order = append(order, x.bottle)
		}
		if len(order) == 1 && len(sequences[x.bottle]) == 0 {
			s.before, waiting = overlapping(waiting[:len(waiting)-1]), waiting[len(waiting)-1:]
		}
		sequences[x.bottle] = append(sequences[x.bottle], waiting...)
		waiting = nil
	}
	for _, name := range order {
		s.bottles = append(s.bottles, sequences[name])
	}
	return s
}

func bottleOf(x *exchange, owner map[string]string) string {
	texts := []string{x.uri}
	if strings.Contains(x.header.Get("Content-Type"), "json") {
		texts = append(texts, string(x.body))
	}
	for _, text := range texts {
		for _, id := range longID.FindAllString(text, -1) {
			if owner[id] != "" {
				return owner[id]
			}
		}
		if m := bottleName.FindStringSubmatch(text); m != nil {
			return m[1]
		}
	}
	return ""
}

// idIn is the identifier that a create call answered with.
func idIn(x *exchange, t testing.TB) string {
	t.Helper()
	if x.call.Method != http.MethodPost {
		return ""
	}
	_, body := x.parsed(t)
	var made struct{ ID string }
	if json.Unmarshal(body, &made) != nil {
		return ""
	}
	return made.ID
}

// overlapping groups requests that bb had under way at the same time.
func overlapping(all []*exchange) (groups [][]*exchange) {
	var end time.Time
	for _, x := range all {
		if len(groups) == 0 || x.began.After(end) {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], x)
		if x.end.After(end) {
			end = x.end
		}
	}
	return groups
}

// player sends a script again, as a program would that does not think.
type player struct {
	t      testing.TB
	socket string
	client *http.Client
}

func newPlayer(t testing.TB, host string) *player {
	p := &player{t: t, socket: strings.TrimPrefix(host, "unix://")}
	transport := &http.Transport{ // as the engine's own client has it
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", p.socket)
		},
		MaxIdleConns: 6,
	}
	t.Cleanup(transport.CloseIdleConnections)
	p.client = &http.Client{Transport: transport}
	return p
}

// play runs the sequences of bottles side by side, so many requests at once:
// whole bottles one after the other would leave slots empty at the end.
func (p *player) play(s script, parallel int) error {
	for _, group := range s.before {
		if err := each(group, len(group), func(x *exchange) error { return p.send(x, nil) }); err != nil {
			return err
		}
	}
	slots := make(chan struct{}, parallel)
	return each(s.bottles, len(s.bottles), func(sequence []*exchange) error {
		ids := map[string]string{}
		for _, x := range sequence {
			slots <- struct{}{}
			err := p.send(x, ids)
			<-slots
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func each[T any](all []T, parallel int, do func(T) error) error {
	todo := make(chan T)
	errs := make(chan error, parallel)
	var failed []error
	for range parallel {
		go func() {
			var err error
			for x := range todo {
				if err == nil {
					err = do(x)
				}
			}
			errs <- err
		}()
	}
	for _, x := range all {
		todo <- x
	}
	close(todo)
	for range parallel {
		if err := <-errs; err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return failed[0]
	}
	return nil
}

// send sends one request again, with the identifiers of this time.
func (p *player) send(x *exchange, ids map[string]string) error {
	renew := func(text string) string {
		for was, is := range ids {
			text = strings.ReplaceAll(text, was, is)
		}
		return text
	}
	body := x.body
	if strings.Contains(x.header.Get("Content-Type"), "json") {
		body = []byte(renew(string(body)))
	}
	for wait := time.Millisecond; ; wait *= 2 {
		r, err := http.NewRequest(x.call.Method, "http://engine"+renew(x.uri), bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header, r.ContentLength = x.header.Clone(), x.length
		if x.length == 0 {
			r.Body = nil
		}
		if x.header.Get("Upgrade") != "" {
			return p.upgrade(r, x)
		}
		status, answer, err := p.exchange(r, x)
		if err != nil {
			return fmt.Errorf("%v: %w", x.call, err)
		}
		was, said := x.parsed(p.t)
		if status != was {
			return fmt.Errorf("%v: %d, was %d\n%s", x.call, status, was, answer)
		}
		var now, before struct {
			ID      string
			Running bool
		}
		json.Unmarshal(answer, &now)  //nolint:errcheck // not all answers are of this form
		json.Unmarshal(said, &before) //nolint:errcheck // see above
		if x.call.Method == http.MethodPost && before.ID != "" {
			ids[before.ID] = now.ID
		}
		if strings.Contains(x.call.Path, "/exec/") && now.Running && !before.Running {
			time.Sleep(wait) // bb would have asked again
			continue
		}
		return nil
	}
}

func (p *player) exchange(r *http.Request, x *exchange) (int, []byte, error) {
	answer, err := p.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	if strings.Contains(x.uri, "follow=1") { // bb left when it had heard enough
		_, said := x.parsed(p.t)
		body := make([]byte, len(said))
		_, err := io.ReadFull(answer.Body, body)
		return answer.StatusCode, body, err
	}
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

// upgrade runs a program in a container: its input, then all of its output.
func (p *player) upgrade(r *http.Request, x *exchange) error {
	c, err := net.Dial("unix", p.socket)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := r.Write(c); err != nil {
		return err
	}
	in := bufio.NewReader(c)
	answer, err := http.ReadResponse(in, r)
	if err != nil {
		return err
	}
	if was, _ := x.parsed(p.t); answer.StatusCode != was {
		return fmt.Errorf("%v: %d, was %d", x.call, answer.StatusCode, was)
	}
	if len(x.stream) > 0 {
		if _, err := c.Write(x.stream); err != nil {
			return err
		}
		if err := c.(*net.UnixConn).CloseWrite(); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// record applies once through a proxy that listens, one operation at a time.
func record(b testing.TB, h *home) script {
	b.Helper()
	host := engineSocket(b)
	p := newEngineProxy(b, host)
	r := &recording{current: map[int]*exchange{}}
	p.wire = r
	if got := p.runThrough(h, "apply", "-y", "--parallel", "1"); got.code != 0 {
		b.Fatal(got)
	}
	return r.script(b)
}

// size counts the requests of a script.
func (s script) size() (n int) {
	for _, group := range slices.Concat(s.before, s.bottles) {
		n += len(group)
	}
	return n
}
