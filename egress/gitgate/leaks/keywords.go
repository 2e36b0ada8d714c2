package leaks

// automaton finds all keywords of all rules in one pass, in any case (Aho and
// Corasick, "Efficient string matching", 1975), as a table of states.
type automaton struct {
	class  [256]uint8 // of a byte; 0 for those in no keyword
	width  int        // classes
	next   []uint32   // by state*width + class: the next state times width
	last   uint32     // states from here on end a keyword
	ends   [][]keyword
	offset uint32
}

// keyword is one that ends in a state.
type keyword struct {
	length int
	rules  []int
}

// newAutomaton takes keywords in lower case, and the rules that have them.
func newAutomaton(words map[string][]int) *automaton {
	a := &automaton{width: 1}
	for w := range words {
		for _, c := range []byte(w) {
			if a.class[c] == 0 {
				a.class[c] = uint8(a.width)
				a.width++
			}
		}
	}
	for c := byte('a'); c <= 'z'; c++ {
		a.class[c-'a'+'A'] = a.class[c]
	}
	next := make([][]int, 1, 2048)
	next[0] = make([]int, a.width)
	ends := make([][]keyword, 1, 2048)
	for w, rules := range words {
		s := 0
		for _, c := range []byte(w) {
			k := a.class[c]
			if next[s][k] == 0 {
				next[s][k] = len(next)
				next, ends = append(next, make([]int, a.width)), append(ends, nil)
			}
			s = next[s][k]
		}
		ends[s] = append(ends[s], keyword{len(w), rules})
	}
	a.close(next, ends)
	return a
}

// close makes the table from the tree, by breadth.
func (a *automaton) close(next [][]int, ends [][]keyword) {
	fail := make([]int, len(next))
	queue := []int{}
	for _, s := range next[0] {
		if s != 0 {
			queue = append(queue, s)
		}
	}
	for i := 0; i < len(queue); i++ {
		s := queue[i]
		ends[s] = append(ends[s], ends[fail[s]]...)
		for k, t := range next[s] {
			if t == 0 {
				next[s][k] = next[fail[s]][k]
				continue
			}
			fail[t] = next[fail[s]][k]
			queue = append(queue, t)
		}
	}
	// States that end a keyword come last, so that one comparison tells.
	order, at := make([]int, 0, len(next)), make([]int, len(next))
	for pass := range 2 {
		for s := range next {
			if (len(ends[s]) > 0) == (pass == 1) {
				at[s] = len(order)
				order = append(order, s)
			}
		}
		if pass == 0 {
			a.offset = uint32(len(order))
		}
	}
	a.last = a.offset * uint32(a.width)
	a.next = make([]uint32, 0, len(next)*a.width)
	for _, s := range order {
		for _, t := range next[s] {
			a.next = append(a.next, uint32(at[t]*a.width))
		}
		if len(ends[s]) > 0 {
			a.ends = append(a.ends, ends[s])
		}
	}
}

// find calls hit for each place where keywords end.
func (a *automaton) find(text []byte, hit func(end int, words []keyword)) {
	s, width, last := uint32(0), uint32(a.width), a.last
	for i, c := range text {
		s = a.next[s+uint32(a.class[c])]
		if s >= last {
			hit(i+1, a.ends[s/width-a.offset])
		}
	}
}
