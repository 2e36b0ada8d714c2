package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
)

// plainColumns is the width of lines where no terminal says its own.
const plainColumns = 200

// columns is how long a line of standard output may be.
func (a *app) columns() int {
	if w := width(a.stdout); w != nil {
		return w()
	}
	return plainColumns
}

// line is a proposal on one line: bb's words first, and the agent's in quotes.
func (x asked) line() string {
	words := []string{short(x.Proposal.ID), fmt.Sprintf("%-16s", x.Bottle)}
	if x.Directory != "" {
		words = append(words, view.Quote(x.Directory))
	}
	if labels := x.marks(); len(labels) > 0 {
		words = append(words, "["+strings.Join(labels, ", ")+"]")
	}
	words = append(words, what(x.Proposal))
	if x.Proposal.Reason != "" {
		words = append(words, "says "+view.Quote(x.Proposal.Reason))
	}
	return strings.Join(words, "  ")
}

// marks are its labels, or why it has none.
func (x asked) marks() []string {
	if x.Unjudged != "" {
		return []string{"not judged: " + x.Unjudged}
	}
	return x.Labels
}

// short is as much of an id as a line has room for.
func short(id string) string { return id[:min(8, len(id))] }

// what is a proposal in a few words, safe to print. Those of the agent's, or of its
// sidecar's, are in quotes.
func what(p egress.Proposal) string {
	switch {
	case p.Route != nil:
		text := fmt.Sprintf("reach %s:%d", view.OneLine(p.Route.Host), p.Route.Port)
		for _, m := range p.Route.Matches {
			text += "  " + matched(m)
		}
		return strings.TrimRight(text, " ")
	case p.Held != nil:
		return fmt.Sprintf("send what looks like a credential (%s in %s) to %s:%d",
			its(p.Held.Detector), its(p.Held.Place), view.OneLine(p.Held.Host), p.Held.Port)
	case p.Push != nil:
		text := fmt.Sprintf("push of %s to %s was refused: %s", view.Quote(p.Push.Ref), view.Quote(p.Push.Remote), view.Quote(p.Push.Reason))
		if p.Push.More > 0 {
			text += fmt.Sprintf(" (and %d more refs)", p.Push.More)
		}
		return text
	}
	return "another image"
}

// matched is a match in words, each path in quotes.
func matched(m egress.Match) string {
	var parts []string
	if len(m.Methods) > 0 {
		parts = append(parts, "methods "+view.OneLine(strings.Join(m.Methods, ", ")))
	}
	if len(m.Paths) > 0 {
		parts = append(parts, "paths "+quoted(m.Paths))
	}
	return strings.Join(parts, "  ")
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = view.Quote(w)
	}
	return strings.Join(out, ", ")
}

// showAsked prints what is approved.
func (a *app) showAsked(x asked) { fmt.Fprint(a.stdout, x.whole(a.columns())) }

// whole is all that is approved, in lines of so many columns. No line begins where
// an agent's text says so: each stands in a column of its own, and goes on there.
func (x asked) whole(columns int) string {
	p, w := x.Proposal, items{columns: columns}
	w.item("proposal", fmt.Sprintf("%s of %s, asked %s", p.ID, x.Bottle, p.Created.Local().Format(time.DateTime)))
	if x.Directory != "" {
		w.item("declared", view.Quote(x.Directory))
	}
	for _, l := range x.marks() {
		w.item("!", l)
	}
	w.item("wants", wish(p))
	if r := p.Route; r != nil {
		for _, m := range r.Matches {
			w.item("methods", cmp.Or(view.OneLine(strings.Join(m.Methods, " ")), "all"))
			w.item("paths", cmp.Or(quoted(m.Paths), "all"))
		}
		if len(r.Matches) == 0 {
			w.item("methods", "all")
			w.item("paths", "all")
		}
	}
	if h := p.Held; h != nil {
		w.item("request", its(h.Method)+" "+view.Quote(h.Path))
		w.item("values", fmt.Sprint(len(h.Digests)))
	}
	if !p.Expires.IsZero() {
		w.item("waits", "for "+max(time.Until(p.Expires), 0).Round(time.Second).String()+" more")
	}
	for line := range strings.Lines(p.Dockerfile) {
		w.item("", "| "+view.Escape(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    ")))
	}
	if p.Reason != "" {
		w.item("says", view.Quote(p.Reason))
	}
	if x.Digest != "" {
		w.item("digest", x.Digest)
	}
	return w.text.String()
}

// wish leaves to the lines below what stands there.
func wish(p egress.Proposal) string {
	if p.Route != nil {
		return fmt.Sprintf("to reach %s:%d", view.OneLine(p.Route.Host), p.Route.Port)
	}
	return what(p)
}

// indent is the column that items begin in.
const indent = 10

// items are lines of a name and a text.
type items struct {
	columns int
	text    strings.Builder
}

func (w *items) item(name, text string) {
	for _, piece := range view.Fold(text, w.columns-indent) {
		fmt.Fprintf(&w.text, "%-*s%s\n", indent, name, piece)
		name = ""
	}
}
