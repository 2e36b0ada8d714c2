package gitgate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bot-bottle/bb/egress/gitgate/leaks"
)

// search looks for secrets in every object that the upstream does not have, and
// in the names of the refs. A verdict without a kind is that there are none.
func (p *push) search(ctx context.Context, tips tips) verdict {
	refs := make([]string, 0, len(p.head.updates))
	for _, u := range p.head.updates {
		if !u.Deleted() {
			refs = append(refs, u.Ref)
		}
	}
	if len(refs) == 0 {
		return verdict{}
	}
	report, err := p.scanNew(ctx, leaks.Request{Values: p.s.values, Refs: refs}, tips)
	if err != nil {
		return p.broken(ctx, "it cannot be searched for secrets, and nothing was pushed", err)
	}
	// A scanner that stopped may not have come to the names.
	p.report, p.searched = report, report.Refused == "" && !report.Truncated
	if report.Refused != "" {
		return verdict{kind: Refused, reason: cleanText(report.Refused, 400)}
	}
	found := report.Findings
	if len(found) > 0 {
		if found, err = p.unknown(ctx, found, tips); err != nil {
			return p.broken(ctx, "it cannot be searched for secrets, and nothing was pushed", err)
		}
	}
	switch {
	case len(found) == 0 && !report.Truncated:
		return verdict{}
	case len(found) == 0:
		return verdict{kind: Refused, reason: "it holds more of what may be secrets than can be told apart: push it in parts"}
	}
	what := refs[0]
	if len(refs) > 1 {
		what = fmt.Sprintf("%d refs", len(refs))
	}
	each := map[string]string{}
	for _, ref := range refs {
		each[ref] = "a secret was found in what was pushed: rule " + cleanText(found[0].Rule, 60)
	}
	return verdict{kind: Refused, each: each, found: found, lines: findingLines(cleanText(what, 120), found, report.Truncated)}
}

// scanNew lists the objects that the refs of the push reach and no ref of the
// upstream does, and hands them to the scanner as git stores them. Each of the
// three must come to its end, or nothing was searched.
func (p *push) scanNew(ctx context.Context, req leaks.Request, tips tips) (leaks.Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idsOut, idsIn := io.Pipe()
	objectsOut, objectsIn := io.Pipe()
	listed, read := make(chan error, 1), make(chan error, 1)
	count := &lineCounter{w: idsIn}
	go func() {
		err := p.g.git(ctx, gitRun{
			Dir: p.s.mirror.dir, Env: p.env(), Args: []string{"rev-list", "--objects", "--stdin"},
			Stdin: strings.NewReader(p.wanted(tips)), Stdout: count, Limit: listLimit,
		})
		_ = idsIn.CloseWithError(err)
		listed <- err
	}()
	go func() {
		err := p.g.git(ctx, gitRun{
			Dir: p.s.mirror.dir, Env: p.env(), Args: []string{"cat-file", "--buffer", "--batch=" + leaks.BatchFormat},
			Stdin: idsOut, Stdout: objectsIn, Limit: listLimit,
		})
		_ = idsOut.CloseWithError(errEnough) // an early end ends the list
		_ = objectsIn.CloseWithError(err)
		read <- err
	}()
	report, err := p.g.scan(ctx, req, objectsOut)
	// Findings alone refuse nothing: they may be known.
	stopped := report.Refused != "" || report.Truncated
	if err == nil && !stopped {
		// Whatever the scanner left would not have been searched.
		var left int64
		if left, err = io.Copy(io.Discard, objectsOut); err == nil && left > 0 {
			err = errors.New("the scanner did not read everything")
		}
	}
	_ = objectsOut.CloseWithError(errEnough)
	if err != nil || stopped {
		cancel()
	}
	err = errors.Join(err, ignoreIf(stopped, <-read), ignoreIf(stopped, <-listed))
	if err == nil && !stopped && count.lines != report.Objects {
		err = fmt.Errorf("%d of %d objects were searched", report.Objects, count.lines)
	}
	return report, err
}

var errEnough = errors.New("no more is wanted")

// ignoreIf drops an error of what was stopped: what was found by then refuses
// the push anyway.
func ignoreIf(stopped bool, err error) error {
	if stopped {
		return nil
	}
	return err
}

// wanted is the input of git rev-list: what is new, without what the upstream
// has.
func (p *push) wanted(tips tips) string {
	var b strings.Builder
	for _, id := range p.news() {
		b.WriteString(id + "\n")
	}
	seen := map[string]bool{}
	for _, id := range tips.Refs {
		if !seen[id] {
			seen[id] = true
			b.WriteString("^" + id + "\n")
		}
	}
	return b.String()
}

// unknown drops findings in objects that the upstream has anyway: git lists
// some of those, such as a file that became again what it was long ago.
func (p *push) unknown(ctx context.Context, found []leaks.Finding, tips tips) ([]leaks.Finding, error) {
	want := map[string]bool{}
	for _, f := range found {
		if objectID(f.Object) {
			want[f.Object] = true
		}
	}
	if len(want) == 0 {
		return found, nil
	}
	var b strings.Builder
	for _, id := range tips.Refs {
		b.WriteString(id + "\n")
	}
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := p.g.git(ctx, gitRun{
			Dir: p.s.mirror.dir, Env: gitEnv("GIT_DIR=" + p.s.mirror.dir), Args: []string{"rev-list", "--objects", "--stdin"},
			Stdin: strings.NewReader(b.String()), Stdout: w, Limit: listLimit,
		})
		_ = w.CloseWithError(err)
		ended <- err
	}()
	has := map[string]bool{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if id, _, _ := strings.Cut(s.Text(), " "); want[id] {
			has[id] = true
		}
	}
	_ = r.CloseWithError(errEnough)
	if err := errors.Join(s.Err(), <-ended); err != nil {
		return nil, err
	}
	var left []leaks.Finding
	for _, f := range found {
		if !has[f.Object] {
			left = append(left, f)
		}
	}
	return left, nil
}

type lineCounter struct {
	w     io.Writer
	lines int
}

func (c *lineCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' {
			c.lines++
		}
	}
	return c.w.Write(p)
}
