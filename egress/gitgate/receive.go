package gitgate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/leaks"
)

// Bounds of pushes.
const (
	maxReceiving  = 2         // at once
	maxPushBytes  = 512 << 20 // of one, as it comes
	receiveLimit  = 15 * time.Minute
	placePatience = time.Minute
	drainTimes    = 8 // how much more than is allowed is read to say so
)

// pushing is what the pushes of a gate share; it is part of Gate.
type pushing struct {
	// scan is leaks.Run with bb's executable.
	scan   func(context.Context, leaks.Request, io.Reader) (leaks.Report, error)
	places chan struct{}
	most   int64
}

func newPushing(o Options) pushing {
	return pushing{
		scan: func(ctx context.Context, req leaks.Request, objects io.Reader) (leaks.Report, error) {
			return leaks.Run(ctx, o.Self, req, objects)
		},
		places: make(chan struct{}, maxReceiving),
		most:   maxPushBytes,
	}
}

// push is one push.
type push struct {
	g          *Gate
	s          *served
	began      time.Time
	head       pushHead
	answer     *pushAnswer
	dir        string // of the repository that receives it
	quarantine string // where its objects are; "" when it brings none
	report     leaks.Report
	searched   bool
	// detach makes what follows outlive the client; false means that the client,
	// or the remote, is gone already.
	detach func() bool
}

// receive answers POST git-receive-pack.
func (g *Gate) receive(w http.ResponseWriter, r *http.Request, s *served) {
	p := &push{g: g, s: s, began: time.Now()}
	var err error
	if p.head, err = readPushHead(r.Body); err != nil {
		reason := "git cannot have sent this: " + err.Error()
		p.record(verdict{kind: Refused, reason: reason})
		http.Error(w, "bb: push refused: "+reason, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	if len(p.head.updates) == 0 {
		return // a client that asks whether it may send
	}
	p.answer = &pushAnswer{w: w, sideband: p.head.sideband}
	ctx, cancel := context.WithTimeout(s.ctx, receiveLimit)
	defer cancel()
	p.detach = context.AfterFunc(r.Context(), cancel)
	defer p.detach()

	if !g.place(ctx) {
		p.drain(ctx, r.Body)
		p.end(verdict{kind: Failed, reason: "too many pushes at a time: try again"})
		return
	}
	defer func() { <-g.places }()
	body := &bounded{r: io.MultiReader(bytes.NewReader(p.head.raw), r.Body), left: g.most + int64(len(p.head.raw))}
	v, err := p.run(ctx, body)
	switch {
	case body.left < 0:
		p.drain(ctx, r.Body)
		v = verdict{kind: Refused, reason: fmt.Sprintf("it is larger than %d MiB: push it in parts, or leave large files out", g.most>>20)}
	case err == nil:
	case ctx.Err() != nil:
		v = p.interrupted()
	default:
		v = p.unreadable()
		if v.kind == Failed {
			g.o.Note("git gate: %s: a push could not be received: %s", s.remote.Name, cleanText(err.Error(), 300))
		}
	}
	p.end(v)
}

// place waits for a place among the pushes.
func (g *Gate) place(ctx context.Context) bool {
	late := time.NewTimer(placePatience)
	defer late.Stop()
	select {
	case g.places <- struct{}{}:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

var errUnreceived = errors.New("git did not come to its hook")

// run lets git receive the push into a repository of its own, which is gone
// afterwards, and judges it while git holds it. An error means that it did not
// come to a judgement.
func (p *push) run(ctx context.Context, body io.Reader) (v verdict, err error) {
	if p.dir, err = p.g.newPushRepo(p.s.mirror.dir, p.format()); err != nil {
		return v, err
	}
	defer func() {
		if gone := os.RemoveAll(p.dir); gone != nil {
			p.g.o.Note("git gate: what a push brought cannot be removed: %v", gone)
		}
	}()
	gate, hook, err := hookSocket()
	if err != nil {
		return v, err
	}
	defer hook.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	judged := make(chan bool, 1)
	go func() {
		came := p.held(ctx, gate, &v)
		judged <- came
		_ = gate.Close() // the hook ends
	}()
	err = p.g.git(ctx, gitRun{
		Dir: p.dir, Env: gitEnv("GIT_DIR=" + p.dir), Args: []string{"receive-pack", "--stateless-rpc", p.dir},
		Stdin: body, Stdout: p.answer, Files: []*os.File{hook}, Limit: receiveLimit,
	})
	_ = hook.Close()
	cancel() // nothing is judged that git holds no more
	_ = gate.SetReadDeadline(time.Now())
	if <-judged {
		return v, nil
	}
	return v, errors.Join(errUnreceived, err)
}

// held judges what the hook hands over, while git waits for the hook.
func (p *push) held(ctx context.Context, gate net.Conn, v *verdict) bool {
	quarantine, refs, ok := takeOffer(gate)
	if !ok || ctx.Err() != nil {
		return false
	}
	// git received what this gate reads in the push, or it is not judged.
	if refs != p.head.lines() || quarantine != "" && !strings.HasPrefix(filepath.Clean(quarantine), filepath.Join(p.dir, "objects")+"/") {
		*v = verdict{kind: Failed, reason: "git received something else than was asked for"}
		return true
	}
	p.quarantine = quarantine
	*v = p.judge(ctx)
	return true
}

// lines are the updates as git hands them to a hook.
func (h pushHead) lines() string {
	var b strings.Builder
	none := strings.Repeat("0", 40)
	for _, u := range h.updates {
		if len(u.Old) > 40 || len(u.New) > 40 {
			none = strings.Repeat("0", 64)
		}
	}
	for _, u := range h.updates {
		fmt.Fprintf(&b, "%s %s %s\n", orNone(u.Old, none), orNone(u.New, none), u.Ref)
	}
	return b.String()
}

func orNone(id, none string) string {
	if id == "" {
		return none
	}
	return id
}

// format is the object format that the push speaks; git refuses another than
// that of the mirror.
func (p *push) format() string {
	for _, u := range p.head.updates {
		if len(u.Old) == 64 || len(u.New) == 64 {
			return "sha256"
		}
	}
	return "sha1"
}

// fsckSaid is what git says about an object that it does not take. The rest of
// such a line is of the object's content.
var fsckSaid = regexp.MustCompile(`object ([0-9a-f]{40,64}): ([A-Za-z0-9]+):`)

// unreadable says why git did not take the objects.
func (p *push) unreadable() verdict {
	said := p.answer.heard()
	if m := fsckSaid.FindStringSubmatch(said); m != nil {
		return verdict{kind: Refused, reason: fmt.Sprintf("object %s is not sound: %s (git fsck says more)", m[1], m[2]), gits: true}
	}
	for said, reason := range map[string]string{
		"did not receive expected object": "objects are missing in it", "missing necessary objects": "objects are missing in it",
		"unresolved delta": "objects are missing in it", "bad pack": "it holds no sound pack", "pack signature mismatch": "it holds no sound pack",
		"early EOF": "it ended before its end", "shallow update not allowed": "its history is cut off: git fetch --unshallow",
	} {
		if strings.Contains(p.answer.heard(), said) {
			return verdict{kind: Refused, reason: reason, gits: true}
		}
	}
	if report := p.answer.kept(); strings.Contains(report, "unpack") {
		reason := "git cannot read it"
		if strings.Contains(report, "missing necessary objects") {
			reason = "objects are missing in it"
		} else if strings.Contains(report, "shallow update not allowed") {
			reason = "its history is cut off: git fetch --unshallow"
		}
		return verdict{kind: Refused, reason: reason, gits: true}
	}
	return verdict{kind: Failed, reason: "the git gate could not receive it: try again"}
}

func (p *push) interrupted() verdict {
	if p.s.ctx.Err() != nil {
		return verdict{kind: Refused, reason: "this remote was changed or taken away meanwhile: try again"}
	}
	return verdict{kind: Failed, reason: "it was interrupted"}
}

// end records a push and answers it, in this order: what an agent was told is
// in the log.
func (p *push) end(v verdict) {
	p.record(v)
	if v.gits && p.answer.pass() {
		return
	}
	refs := make([]string, 0, len(p.head.updates))
	for _, u := range p.head.updates {
		refs = append(refs, u.Ref)
	}
	p.answer.finish(p.texts(v), refs, v.whyEach(refs))
}

// drain reads what a client still sends, within bounds: git reads no answer
// before it has sent all.
func (p *push) drain(ctx context.Context, body io.Reader) {
	n := p.g.most * drainTimes
	for n > 0 && ctx.Err() == nil {
		got, err := io.CopyN(io.Discard, body, 1<<20)
		if n -= got; err != nil {
			return
		}
	}
}

// bounded fails when more comes than may.
type bounded struct {
	r    io.Reader
	left int64
}

var errTooLarge = errors.New("the push is too large")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}
