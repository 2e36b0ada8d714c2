package leaks

import (
	"bytes"
	"fmt"
	"strings"
)

// place is where a text comes from.
type place struct {
	object, kind string
	path         string // clean, and with what is secret in it covered
}

func placeOf(o object, path string) place { return place{object: o.id, kind: o.kind, path: path} }

// String is for people.
func (p place) String() string {
	if p.path != "" {
		return p.path
	}
	return strings.TrimSpace(p.kind + " " + p.object)
}

// object searches one object: its path, and its content.
func (s *searcher) object(o object) {
	at := placeOf(o, s.name(o))
	switch o.kind {
	case "tree":
		s.tree(at, o.data)
	case "blob":
		s.file(at, o.path, o.data)
	default:
		s.text(at, o.data, "")
	}
}

// name searches the path of an object, and returns it without its secrets.
func (s *searcher) name(o object) string {
	shown, _ := s.path(place{object: o.id, kind: o.kind}, "", o.path)
	return shown
}

// path searches a name and returns it clean, behind what it lies in, and
// whether there was something.
func (s *searcher) path(at place, within, name string) (shown string, found bool) {
	if name == "" {
		return within, false
	}
	hits, err := s.hits([]byte(name))
	shown = within + cleanPath(covered([]byte(name), hits))
	at.path = shown
	if err != nil {
		s.refuse("a name", "cannot be searched: "+err.Error())
	}
	for _, h := range hits {
		if !h.Known && !s.rules.concerns(h.Detector, name) {
			continue
		}
		found = true
		s.add(Finding{Object: at.object, Type: at.kind, Path: shown, Line: 1, Rule: h.Detector, Excerpt: excerpt([]byte(name), h, hits)})
	}
	if id := s.rules.names(name); id != "" {
		found = true
		s.add(Finding{Object: at.object, Type: at.kind, Path: shown, Line: 1, Rule: id, Excerpt: "(by its name)"})
	}
	return shown, found
}

// tree searches the names in a tree: mode, space, name, NUL, id.
func (s *searcher) tree(at place, data []byte) {
	id := len(at.object) / 2
	var names []byte
	for len(data) > 0 {
		mode, rest, ok := bytes.Cut(data, []byte(" "))
		name, rest, ok2 := bytes.Cut(rest, []byte{0})
		if !ok || !ok2 || len(mode) < 5 || len(mode) > 6 || len(name) == 0 || len(rest) < id {
			s.refuse(fmt.Sprintf("tree %s", at.object), "cannot be read")
			return
		}
		names = append(append(names, name...), '\n')
		data = rest[id:]
	}
	s.text(at, names, "")
}
