package leaks

import (
	"bytes"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// rule is one form of a secret, as gitleaks describes it.
type rule struct {
	id, source, path string
	keywords         []string
	entropy          float64
	group            int
	allows           []*allow
	shape
	guard func(text []byte, at int) bool
	// custom replaces the expression: the keyword is text[at:after], and end is
	// 0 where there is no secret.
	custom func(text []byte, at, after int) (start, end int)

	once   sync.Once
	re     *regexp.Regexp
	pathRE *regexp.Regexp
}

// allow is what is no secret though it has its form.
type allow struct {
	regexes, words []string
	once           sync.Once
	re             *regexp.Regexp
}

func (a *allow) has(secret []byte) bool {
	a.once.Do(func() {
		if len(a.regexes) > 0 {
			a.re = compile("(?:" + strings.Join(a.regexes, ")|(?:") + ")")
		}
	})
	if a.re != nil && a.re.Match(secret) {
		return true
	}
	low := bytes.ToLower(secret)
	return slices.ContainsFunc(a.words, func(w string) bool { return bytes.Contains(low, []byte(w)) })
}

// reach bounds how far a match without bounds is followed, in bytes. Where a
// rule has a smaller reach, what is further away belongs to something else.
const reach = 8 << 10

var reaches = map[string]int{"kubernetes-secret-yaml": 1 << 10, "curl-auth-header": 2 << 10, "curl-auth-user": 2 << 10}

func (r *rule) prepare() error {
	for i, k := range r.keywords {
		r.keywords[i] = strings.ToLower(k)
	}
	if r.source == "" {
		return nil
	}
	s, err := shapeOf(r.source, r.keywords)
	if err != nil {
		return err
	}
	most := reach
	if n := reaches[r.id]; n > 0 {
		most = n
	}
	s.before, s.after = min(s.before, most), min(s.after, most)
	r.shape, r.guard = s, guards[r.id]
	return nil
}

func (r *rule) compiled() *regexp.Regexp {
	r.once.Do(func() { r.re = compile(r.source) })
	return r.re
}

// guards say for rules whose keywords are in every other word whether a match
// is possible at a keyword: what the expression asks for anyway.
var guards = map[string]func(text []byte, at int) bool{
	"vault-service-token": func(t []byte, at int) bool { return at > 1 && t[at-1] == 'v' || alnums(t, at+2, 24) },
	"twilio-api-key":      func(t []byte, at int) bool { return t[at] == 'S' && t[at+1] == 'K' && alnums(t, at+2, 32) },
	"sendgrid-api-token":  func(t []byte, at int) bool { return t[at] == 'S' && t[at+1] == 'G' },
	"huggingface-access-token": func(t []byte, at int) bool {
		return t[at] == 'h' && t[at+1] == 'f' && alnums(t, at+3, 34)
	},
	"azure-ad-client-secret": func(t []byte, at int) bool { return at > 3 && t[at] == 'Q' && '0' <= t[at-1] && t[at-1] <= '9' },
	"1password-secret-key":   func(t []byte, at int) bool { return t[at] == 'A' && alnums(t, at+3, 6) },
}

// alnums says that n letters and digits, or what folds to them, come at at.
func alnums(t []byte, at, n int) bool {
	for i := range n {
		if at+i >= len(t) {
			return false
		}
		if c := t[at+i]; c < utf8.RuneSelf && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// ruleset is all rules with the automaton of their keywords.
type ruleset struct {
	rules []*rule
	words *automaton
	pool  sync.Pool
	// byPath has the rules that are for files of some names only.
	byPath map[string]*rule
}

// hits are the places where rules have to be tried.
type hits struct {
	at    [][]span // by rule
	rules []int    // that have any
	text  []byte
	visit func(end int, words []keyword)
	late  []late // found already, named only where nothing better is
}

type late struct {
	id string
	at span
}

type span struct{ start, end int }

func newRuleset() (*ruleset, error) {
	rules, err := readRules()
	if err != nil {
		return nil, err
	}
	s := &ruleset{rules: rules, byPath: map[string]*rule{}}
	words := map[string][]int{}
	for i, r := range rules {
		if r.path != "" {
			r.pathRE = compile(r.path)
			s.byPath[r.id] = r
		}
		for _, k := range r.keywords {
			words[k] = append(words[k], i)
		}
	}
	s.words = newAutomaton(words)
	s.pool.New = func() any {
		h := &hits{at: make([][]span, len(rules))}
		h.visit = func(end int, words []keyword) { s.visit(h, end, words) }
		return h
	}
	return s, nil
}

func (s *ruleset) visit(h *hits, end int, words []keyword) {
	for _, w := range words {
		for _, i := range w.rules {
			r := s.rules[i]
			start := end - w.length
			if r.custom != nil {
				if from, to := r.custom(h.text, start, end); to > 0 {
					h.late = append(h.late, late{r.id, span{from, to}})
				}
				continue
			}
			if r.source == "" || r.guard != nil && !r.guard(h.text, start) {
				continue
			}
			spans := h.at[i]
			n := len(spans)
			if n == 0 {
				h.rules = append(h.rules, i)
			}
			at := span{0, len(h.text)}
			if r.bound {
				// A byte more on each side lets an edge be seen as one.
				at = span{max(0, start-r.before-utf8.UTFMax), min(len(h.text), end+r.after+utf8.UTFMax)}
			}
			if n > 0 && at.start <= spans[n-1].end {
				spans[n-1].end = max(spans[n-1].end, at.end)
				continue
			}
			h.at[i] = append(spans, at)
		}
	}
}

// find calls emit for each secret in text.
func (s *ruleset) find(text []byte, emit func(id string, start, end int)) {
	h := s.pool.Get().(*hits)
	h.text = text
	s.words.find(text, h.visit)
	for _, i := range h.rules {
		r := s.rules[i]
		for _, at := range h.at[i] {
			r.find(text, at, emit)
		}
		h.at[i] = h.at[i][:0]
	}
	for _, l := range h.late {
		emit(l.id, l.at.start, l.at.end)
	}
	h.rules, h.late, h.text = h.rules[:0], h.late[:0], nil
	s.pool.Put(h)
}

func (r *rule) find(text []byte, at span, emit func(id string, start, end int)) {
	re := r.compiled()
	for at.start < at.end {
		m := re.FindSubmatchIndex(text[at.start:at.end])
		if m == nil {
			return
		}
		start, end := m[0], m[1]
		if r.group > 0 && m[2*r.group] >= 0 {
			start, end = m[2*r.group], m[2*r.group+1]
		} else {
			for g := 1; g < len(m)/2; g++ {
				if m[2*g] >= 0 && m[2*g] < m[2*g+1] {
					start, end = m[2*g], m[2*g+1]
					break
				}
			}
		}
		secret := text[at.start+start : at.start+end]
		if (r.entropy == 0 || entropy(secret) > r.entropy) && !slices.ContainsFunc(r.allows, func(a *allow) bool { return a.has(secret) }) {
			emit(r.id, at.start+start, at.start+end)
		}
		// The next one may begin with what ended this one.
		at.start += max(m[1], m[0]+1)
	}
}

// entropy is in bits per character, by the frequency of its own characters.
func entropy(b []byte) float64 {
	var freq [256]int
	for _, c := range b {
		freq[c]++
	}
	sum := 0.0
	for _, n := range freq {
		if n > 0 {
			p := float64(n) / float64(len(b))
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

// names returns the rule that a file's name alone breaks, or "".
func (s *ruleset) names(path string) string {
	for _, r := range s.byPath {
		if r.source == "" && r.pathRE.MatchString(path) {
			return r.id
		}
	}
	return ""
}

// concerns says that a rule is for files of this name.
func (s *ruleset) concerns(id, name string) bool {
	r := s.byPath[id]
	return r == nil || r.pathRE.MatchString(name)
}
