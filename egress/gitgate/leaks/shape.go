package leaks

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// unbounded stands for a length without bound.
const unbounded = 1 << 24

// shape says where in a text a regular expression has to be tried.
type shape struct {
	// bound means that each match holds a keyword, which begins at most before
	// bytes behind the match's beginning, and ends at most after bytes before
	// its end.
	bound         bool
	before, after int
}

// shapeOf looks for the part of an expression that has to be one of the
// keywords, which are in lower case.
func shapeOf(source string, keywords []string) (shape, error) {
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return shape{}, err
	}
	s, ok := holds(re, keywords)
	s.bound = ok
	return s, nil
}

// holds says whether every match of re holds a keyword.
func holds(re *syntax.Regexp, keywords []string) (shape, bool) {
	switch re.Op {
	case syntax.OpCapture:
		return holds(re.Sub[0], keywords)
	case syntax.OpAlternate:
		var s shape
		for _, sub := range re.Sub {
			t, ok := holds(sub, keywords)
			if !ok {
				return shape{}, false
			}
			s.before, s.after = max(s.before, t.before), max(s.after, t.after)
		}
		return s, true
	case syntax.OpConcat:
		return holdsConcat(re.Sub, keywords)
	}
	if all, ok := spellings(re); ok && each(all, keywords) {
		return shape{before: longest(all), after: longest(all)}, true
	}
	return shape{}, false
}

func holdsConcat(subs []*syntax.Regexp, keywords []string) (shape, bool) {
	length := 0 // of what comes before subs[i]
	for i := range subs {
		// The longest row of parts with few spellings, from i on.
		all := []string{""}
		for j := i; j < len(subs); j++ {
			more, ok := spellings(subs[j])
			if ok {
				all, ok = cross(all, more)
			}
			if !ok {
				break
			}
			if each(all, keywords) {
				n := longest(all)
				return shape{before: add(length, n), after: add(n, lengths(subs[j+1:]))}, true
			}
		}
		if t, ok := holds(subs[i], keywords); ok {
			return shape{before: add(length, t.before), after: add(t.after, lengths(subs[i+1:]))}, true
		}
		length = add(length, length1(subs[i]))
	}
	return shape{}, false
}

func each(all, keywords []string) bool {
	for _, s := range all {
		if !slices.ContainsFunc(keywords, func(k string) bool { return strings.Contains(s, k) }) {
			return false
		}
	}
	return true
}

func longest(all []string) int {
	n := 0
	for _, s := range all {
		n = max(n, len(s))
	}
	return 3 * n // a letter may be a longer one that folds to it
}

// maxSpellings bounds the texts that are listed of an expression.
const maxSpellings = 128

func cross(a, b []string) ([]string, bool) {
	if len(a)*len(b) > maxSpellings {
		return nil, false
	}
	var out []string
	for _, x := range a {
		for _, y := range b {
			out = append(out, x+y)
		}
	}
	return out, true
}

// spellings lists all that an expression matches, in lower case, if that is
// little.
func spellings(re *syntax.Regexp) ([]string, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []string{""}, true
	case syntax.OpLiteral:
		return []string{lower(string(re.Rune))}, true
	case syntax.OpCapture:
		return spellings(re.Sub[0])
	case syntax.OpCharClass:
		var out []string
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if out = append(out, lower(string(r))); len(out) > maxSpellings {
					return nil, false
				}
			}
		}
		slices.Sort(out)
		return slices.Compact(out), true
	case syntax.OpQuest:
		all, ok := spellings(re.Sub[0])
		return append(slices.Clone(all), ""), ok
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			more, ok := spellings(sub)
			if ok {
				all, ok = cross(all, more)
			}
			if !ok {
				return nil, false
			}
		}
		return all, true
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			more, ok := spellings(sub)
			if all = append(all, more...); !ok || len(all) > maxSpellings {
				return nil, false
			}
		}
		return all, true
	}
	return nil, false
}

// lower also folds the two letters that are no ASCII and match ones that are.
func lower(s string) string {
	return strings.NewReplacer("\u212a", "k", "\u017f", "s").Replace(strings.ToLower(s))
}

func lengths(subs []*syntax.Regexp) int {
	n := 0
	for _, s := range subs {
		n = add(n, length1(s))
	}
	return n
}

func add(a, b int) int { return min(a+b, unbounded) }

// length1 is how many bytes a match has at most.
func length1(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return len(string(re.Rune)) + utf8.UTFMax
	case syntax.OpCharClass:
		if n := len(re.Rune); n > 0 && re.Rune[n-1] > 0x212a {
			return utf8.UTFMax
		}
		return 1
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return utf8.UTFMax
	case syntax.OpCapture, syntax.OpQuest:
		return length1(re.Sub[0])
	case syntax.OpStar, syntax.OpPlus:
		return unbounded
	case syntax.OpRepeat:
		if n := length1(re.Sub[0]); re.Max >= 0 && n < unbounded {
			return min(re.Max*n, unbounded)
		}
		return unbounded
	case syntax.OpConcat:
		return lengths(re.Sub)
	case syntax.OpAlternate:
		n := 0
		for _, s := range re.Sub {
			n = max(n, length1(s))
		}
		return n
	}
	return 0
}
