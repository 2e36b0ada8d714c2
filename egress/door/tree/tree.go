// Package tree carries a file or a directory tree as a tar stream between two
// ends that need not trust each other: the host, and a bottle whose agent may
// change what is read while it is read, or answer with a stream of its own.
//
// Every access goes through os.Root, so that a path that is swapped for a link
// during the walk never leads out of the tree, on neither side. Memory does not
// grow with the tree. What a tree should not carry (devices, sockets, names of
// files outside) is refused with a list, before the first byte where the tree
// is read, and never created where it is written.
package tree

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Options say where a tree goes and what becomes of what it should not hold.
type Options struct {
	// As names the top of the tree: in the stream (Pack, one or several
	// components) or below the destination (Unpack: one component, or "." for
	// the destination itself). Pack needs it; Unpack without it takes an
	// archive of any names.
	As string
	// Bottle means that the tree is on its way into a bottle: links may lead
	// out of it, since they resolve in the bottle, and names may hold control
	// characters. What goes to the host has neither.
	Bottle bool
	// Skip leaves out what is refused, and reports it, instead of failing.
	Skip bool
	// Dir demands that the top is a directory (Unpack).
	Dir bool
	// UID and GID own the tree (Pack); whoever unpacks owns it otherwise.
	UID, GID int
	// On is called with the name below the top of every file and link that was
	// written or sent, and Bytes with the size of every piece of content.
	On    func(name string)
	Bytes func(n int)
}

// Report says what was carried.
type Report struct {
	Files, Dirs, Links int
	Bytes              int64
	// Refused is what Skip left out.
	Refused Refused
}

// maxListed bounds the refusals that are kept; all are counted.
const maxListed = 20

// maxPath bounds a name below the top and the target of a link, in bytes.
const maxPath = 4096

// maxName bounds one component of a name, in bytes.
const maxName = 255

// Refusal is one path that is not carried.
type Refusal struct{ Name, Why string }

// Refused is the error that lists what a tree should not hold.
type Refused struct {
	List  []Refusal // the first of them
	Count int
}

func (r *Refused) add(name, why string) {
	r.Count++
	if len(r.List) < maxListed {
		r.List = append(r.List, Refusal{name, why})
	}
}

// Lines lists the refusals, one a line, names quoted where they are not plain.
func (r *Refused) Lines() []string {
	var lines []string
	for _, x := range r.List {
		lines = append(lines, Shown(x.Name)+": "+x.Why)
	}
	if more := r.Count - len(r.List); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

func (r *Refused) Error() string {
	return fmt.Sprintf("%s cannot be copied:\n  %s", r.paths(), strings.Join(r.Lines(), "\n  "))
}

// LeftOut is the list as what Skip did, "" where it did nothing.
func (r *Refused) LeftOut() string {
	if r.Count == 0 {
		return ""
	}
	return fmt.Sprintf("left out: %s\n  %s\n", r.paths(), strings.Join(r.Lines(), "\n  "))
}

func (r *Refused) paths() string {
	if r.Count == 1 {
		return "1 path"
	}
	return fmt.Sprintf("%d paths", r.Count)
}

// Shown is a name as a terminal may print it.
func Shown(name string) string {
	if name == "" {
		return "."
	}
	if strings.IndexFunc(name, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) >= 0 {
		return strconv.QuoteToGraphic(name)
	}
	return name
}

// errTruncated is a stream that ends before its end is marked.
var errTruncated = errors.New("the stream ends too early")

// badName says why a name below the top is not carried; "" is the top.
func badName(name string, bottle bool) string {
	if name == "" {
		return ""
	}
	if len(name) > maxPath {
		return "its path is longer than " + strconv.Itoa(maxPath) + " bytes"
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return "leads out of the tree"
		case len(part) > maxName:
			return "its name is longer than " + strconv.Itoa(maxName) + " bytes"
		}
	}
	return badText(name, bottle, "its name")
}

func badText(text string, bottle bool, what string) string {
	if strings.ContainsRune(text, 0) {
		return what + " holds a NUL"
	}
	if !bottle && strings.IndexFunc(text, unicode.IsControl) >= 0 {
		return what + " holds control characters"
	}
	return ""
}

// badLink says why a link at name must not be made on the host. A target is
// good when it climbs at most to the top, and climbs only at its beginning:
// after a name, which may be a link itself, ".." is not where it seems to be.
func badLink(name, target string, bottle bool) string {
	if target == "" || len(target) > maxPath {
		return "a link to an empty or overlong path"
	}
	if why := badText(target, bottle, "its target"); why != "" || bottle {
		return why
	}
	out := "a link that leads out of the tree: " + Shown(target)
	if strings.HasPrefix(target, "/") || name == "" {
		return out
	}
	depth, named := strings.Count(name, "/"), false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; named || depth < 0 {
				return out
			}
		default:
			named = true
		}
	}
	return ""
}
