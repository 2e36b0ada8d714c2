package gitgate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate/leaks"
)

// verdict is what became of a push.
type verdict struct {
	kind   string // Accepted, Refused, Failed
	reason string // of the whole push
	each   map[string]string
	// lines are said to the agent besides the reason.
	lines []string
	found []leaks.Finding
	// gits says that git receive-pack itself told the agent.
	gits bool
}

// whyEach maps each ref that was not pushed to its reason.
func (v verdict) whyEach(refs []string) map[string]string {
	why := map[string]string{}
	if v.kind == Accepted {
		return why
	}
	for _, ref := range refs {
		switch reason := v.each[ref]; {
		case reason != "":
			why[ref] = reason
		case v.reason != "":
			why[ref] = v.reason
		default:
			why[ref] = "another ref of this push was refused"
		}
	}
	return why
}

// texts are the lines that the agent reads.
func (p *push) texts(v verdict) []string {
	var lines []string
	if v.kind != Accepted {
		word := "bb: push refused: "
		if v.kind == Failed {
			word = "bb: push failed: "
		}
		if v.reason != "" {
			lines = append(lines, word+v.reason)
		}
		for _, u := range p.head.updates {
			if reason := v.each[u.Ref]; reason != "" && len(lines) < maxFindings && len(v.found) == 0 {
				lines = append(lines, word+reason)
			}
		}
	}
	lines = append(lines, v.lines...)
	for i, l := range lines {
		lines[i] = cleanText(p.mask(l), 900)
	}
	return lines
}

// mask covers values that the sidecar holds, wherever they came from.
func (p *push) mask(s string) string {
	for _, value := range p.s.values {
		if len(value) >= 8 {
			s = strings.ReplaceAll(s, value, "****")
		}
	}
	return s
}

const hidden = "(hidden: it holds what may be a secret)"

// nameSearch bounds the search of names for the log.
const nameSearch = 5 * time.Second

// record writes one entry for each ref.
func (p *push) record(v verdict) {
	updates := p.head.updates
	refs := make([]string, 0, len(updates))
	for _, u := range updates {
		refs = append(refs, u.Ref)
	}
	why := v.whyEach(refs)
	if len(updates) == 0 {
		updates, why = []egress.RefUpdate{{}}, map[string]string{"": v.reason}
	}
	secret := v.kind != Accepted && p.secretNames(refs, why, v)
	told := v.kind != Refused || p.g.o.Refused == nil
	for i, u := range updates {
		e := Entry{
			Time: time.Now(), Remote: p.s.remote.Name, Ref: cleanText(p.mask(u.Ref), 500), Old: u.Old, New: u.New, Verdict: v.kind,
			Reason:  cleanText(p.mask(why[u.Ref]), 500),
			Objects: p.report.Objects, Bytes: p.report.Bytes, MS: time.Since(p.began).Milliseconds(),
		}
		if len(v.found) > 0 {
			e.Rule, e.Path, e.Line = cleanText(v.found[0].Rule, 100), cleanText(p.mask(v.found[0].Path), 500), v.found[0].Line
		}
		if secret {
			e.Ref, e.Reason, e.Path = hidden, hidden, ""
		}
		p.g.o.Log(e)
		// Of several, the first that has a reason of its own says most.
		if !told && (v.each[u.Ref] != "" || i == len(updates)-1) {
			told = true
			p.g.o.Refused(e, len(updates)-1)
		}
	}
}

// secretNames tells whether names in a push hold a secret, which then the log
// must not: they are searched with the objects, but a push that was refused
// before that has them all the same. What cannot be searched counts as one.
func (p *push) secretNames(refs []string, why map[string]string, v verdict) bool {
	if p.searched {
		for _, f := range v.found {
			if f.Type == "ref" {
				return true
			}
		}
		return false
	}
	if len(refs) == 0 {
		return false // nothing of the push is in its reason
	}
	names := append([]string{}, refs...)
	for _, reason := range why {
		names = append(names, reason)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.s.ctx), nameSearch)
	defer cancel()
	report, err := p.g.scan(ctx, leaks.Request{Values: p.s.values, Refs: names}, strings.NewReader(""))
	return err != nil || report.Refused != "" || report.Truncated || len(report.Findings) > 0
}

// maxFindings bounds how many lines of a kind the agent reads.
const maxFindings = 20

// findingLines say where secrets were found, and what to do.
func findingLines(what string, found []leaks.Finding, more bool) []string {
	var lines []string
	for i, f := range found {
		if i == maxFindings {
			break
		}
		lines = append(lines, fmt.Sprintf("bb: push refused: %s: %s: rule %s found %s", what, place(f), cleanText(f.Rule, 60), `"`+cleanText(f.Excerpt, 100)+`"`))
	}
	switch left := len(found) - maxFindings; {
	case left > 0 && more:
		lines = append(lines, fmt.Sprintf("bb: and more than %d others", left))
	case left > 0:
		lines = append(lines, fmt.Sprintf("bb: and %d more", left))
	case more:
		lines = append(lines, "bb: and more")
	}
	return append(lines, "bb: rewrite the commits that hold it (git commit --amend, or git rebase -i): to remove it in a later commit is not enough")
}

func place(f leaks.Finding) string {
	switch id := f.Object[:min(12, len(f.Object))]; f.Type {
	case "ref":
		return "the name of a ref"
	case "blob":
		if f.Path == "" {
			return fmt.Sprintf("blob %s:%d", id, f.Line)
		}
		return fmt.Sprintf("%s:%d", cleanText(f.Path, 300), f.Line)
	default:
		return fmt.Sprintf("%s %s, line %d", cleanText(f.Type, 10), id, f.Line)
	}
}
