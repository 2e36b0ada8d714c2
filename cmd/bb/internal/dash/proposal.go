package dash

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// lasting are the times that an approval can last, the usual one first.
var lasting = []struct {
	word string
	args []string
}{
	{"for 4h", []string{"--for", "4h"}},
	{"for 24h", []string{"--for", "24h"}},
	{"for as long as the bottle is there", []string{"--keep"}},
	{"for 30m", []string{"--for", "30m"}},
}

const answerHelp = `  y            approve it, when all of it was on the screen
  f            for how long: 4h, 24h, as long as the bottle is there, 30m
  m            approve something else, written in your editor
  n            reject it; a reason is asked for, and may be empty
  esc q        back; nothing is answered
`

// showProposal shows the chosen one whole: it is answered there and nowhere else.
func (m *model) showProposal() {
	p, ok := chosenOf(m.snap.Proposals, m.at[proposals])
	if !ok {
		m.say("nothing is asked")
		return
	}
	m.open(&sheet{title: p.Short + " of " + p.Bottle, text: p.Whole, asks: &p})
}

// answerLine names the keys that answer what a sheet shows.
func answerLine(s *sheet) string {
	words := []string{"esc back"}
	if s.asks.NoYes == "" {
		if s.read {
			words = append(words, "y approve "+lasting[s.lasts].word)
		} else {
			words = append(words, "space the rest of it")
		}
		words = append(words, "f how long")
	}
	words = append(words, "n reject")
	if s.asks.NoMod == "" {
		words = append(words, "m modify")
	}
	return strings.Join(words, "  ")
}

// proposalKey answers what the sheet shows, as it shows it.
func (m *model) proposalKey(k string) tea.Cmd {
	s, p := m.sheet, m.sheet.asks
	about := func(verb string) string { return verb + " " + p.Short + " of " + p.Bottle }
	switch {
	case k == "f" && p.NoYes == "":
		s.lasts = (s.lasts + 1) % len(lasting)
	case strings.Contains("ynm", k) && !m.free():
	case k == "y" && p.NoYes != "":
		m.say(p.NoYes)
	case k == "y" && !s.read:
		m.say("the rest of it is unread: space goes on, G to the end")
	case k == "y":
		args := append([]string{"supervise", "approve", p.ID, "--digest", p.Digest}, lasting[s.lasts].args...)
		return m.answered(job{what: about("approve"), call: Call{Args: args, Dir: p.Dir}})
	case k == "m" && p.NoMod != "":
		m.say(p.NoMod)
	case k == "m":
		args := append([]string{"supervise", "modify", p.ID}, lasting[s.lasts].args...)
		return m.answered(job{what: about("modify"), call: Call{Args: args, Dir: p.Dir}, terminal: true})
	case k == "n":
		m.input = &input{ask: "why not " + p.Short + " (enter rejects, esc does not): ", then: func(why string) tea.Cmd {
			args := []string{"supervise", "reject", p.ID}
			if why != "" {
				args = append(args, "--reason="+why)
			}
			return m.answered(job{what: about("reject"), call: Call{Args: args, Dir: p.Dir}})
		}}
	default:
		m.unknown(k)
	}
	return nil
}

// answered begins an answer, and closes what it answers.
func (m *model) answered(j job) tea.Cmd {
	if !m.free() {
		return nil
	}
	m.sheet = nil
	return m.begin(j)
}
