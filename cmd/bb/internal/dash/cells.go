package dash

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/mattn/go-runewidth"
	"github.com/rivo/uniseg"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
)

// alone is how wide a terminal draws a character that it looks at alone.
var alone = runewidth.Condition{StrictEmojiNeutral: true}

// cells makes text of anybody's safe for a screen of cells: beside what
// view.Escape does, whatever terminals give different widths is shown as an
// escape. That are tabs, and characters that join the one before them: some
// terminals draw those as one, some as several. With a wrong width a line would
// wrap, and push others off the screen.
func cells(text string) string {
	text = view.Escape(text)
	if isPlain(text) {
		return text
	}
	var b strings.Builder
	for state := -1; text != ""; {
		var cluster string
		cluster, text, _, state = uniseg.FirstGraphemeClusterInString(text, state)
		for i, r := range cluster {
			drawn := alone.RuneWidth(r)
			switch {
			case r == '\t':
				b.WriteString(`\t`)
			case i == 0 && drawn > 0 && drawn == uniseg.StringWidth(string(r)):
				b.WriteRune(r)
			case r <= 0xffff:
				fmt.Fprintf(&b, `\u%04x`, r)
			default:
				fmt.Fprintf(&b, `\U%08x`, r)
			}
		}
	}
	return b.String()
}

func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// oneLine is text of anybody's on one line.
func oneLine(text string) string { return cells(strings.TrimSpace(text)) }

// cut makes one line of at most so many cells of it.
func cut(text string, width int) string { return ansi.Truncate(oneLine(text), width, "~") }

// fit cuts and fills a text to exactly so many cells; it stands at the right
// where that is said.
func fit(text string, width int, right bool) string {
	text = cut(text, width)
	blank := strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
	if right {
		return blank + text
	}
	return text + blank
}

// wrap breaks lines of anybody's so that none is wider; what goes on says so.
func wrap(text string, width int) []string {
	const more = "... "
	var out []string
	for line := range strings.Lines(text) {
		line = cells(strings.TrimRight(line, "\n"))
		indent := ""
		for {
			head := ansi.Truncate(line, width-len(indent), "")
			if at := strings.LastIndexByte(head, ' '); len(head) < len(line) && at > len(head)*2/3 {
				head = head[:at+1]
			}
			out = append(out, strings.TrimRight(indent+head, " "))
			if line = line[len(head):]; line == "" || head == "" {
				break
			}
			indent = more
		}
	}
	return out
}
