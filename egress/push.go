package egress

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Namespaces of refs that rules know by name.
const (
	branchRefs  = "refs/heads/"
	tagRefs     = "refs/tags/"
	replaceRefs = "refs/replace/"
)

// maxRef bounds a ref's name, in bytes: each component becomes a file's name.
const (
	maxRef          = 1000
	maxRefComponent = 200
)

// CheckPush says what is wrong with the rules of a manifest, or nil.
//
// A pattern of Allow is a full ref name, in which one `*` may stand for one or
// more characters, slashes too, as in git's refspecs: "refs/heads/agent/*"
// covers refs/heads/agent/a/b. Before the `*` stands at least "refs/KIND/".
// A pattern covers the default branch like any other branch.
func CheckPush(p Push) error {
	tags := false
	for _, pattern := range p.Allow {
		if err := checkRefPattern(pattern); err != nil {
			return fmt.Errorf("push.allow: %q %w", pattern, err)
		}
		if strings.HasPrefix(pattern, tagRefs) {
			tags = true
			if !p.Tags {
				return fmt.Errorf("push.allow: %q names tags, which need tags: true", pattern)
			}
		}
	}
	if p.Tags && len(p.Allow) > 0 && !tags {
		return errors.New("push.tags: no pattern of push.allow covers a tag; add \"refs/tags/*\"")
	}
	for _, pattern := range p.Protect {
		if err := checkPathPattern(pattern); err != nil {
			return fmt.Errorf("push.protect: %q %w", pattern, err)
		}
	}
	return nil
}

func checkRefPattern(pattern string) error {
	if !strings.HasPrefix(pattern, "refs/") {
		return errors.New("must be a full name that begins with refs/, such as \"refs/heads/agent/*\"")
	}
	if strings.HasPrefix(pattern, replaceRefs) {
		return errors.New("cannot be allowed: git reads other objects through refs/replace/")
	}
	if strings.Count(pattern, "*") > 1 {
		return errors.New("has more than one *")
	}
	if kind, _, _ := strings.Cut(pattern, "*"); kind != pattern && strings.Count(kind, "/") < 2 {
		return errors.New("is too wide: name the kind before the *, such as \"refs/heads/*\"")
	}
	if err := checkRefName(strings.Replace(pattern, "*", "x", 1)); err != nil {
		return fmt.Errorf("can match no ref that may be pushed: it %w", err)
	}
	return nil
}

// matchRef tells whether a pattern that was checked covers a ref.
func matchRef(pattern, ref string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == ref
	}
	return len(ref) > len(before)+len(after) && strings.HasPrefix(ref, before) && strings.HasSuffix(ref, after)
}

// likeID tells whether a name could be the id of an object.
func likeID(name string) bool {
	return (len(name) == 40 || len(name) == 64) && strings.Trim(strings.ToLower(name), "0123456789abcdef") == ""
}

// checkRefName refuses what git check-ref-format does, and names that a shell,
// a terminal or a person may take for something else.
func checkRefName(ref string) error {
	switch {
	case !utf8.ValidString(ref):
		return errors.New("is not valid UTF-8")
	case len(ref) > maxRef:
		return fmt.Errorf("is longer than %d bytes", maxRef)
	case strings.Contains(ref, ".."), strings.Contains(ref, "@{"), strings.ContainsAny(ref, " ~^:?*[\\"):
		return errors.New("holds what a ref may not hold: .., @{, a space or one of ~^:?*[\\")
	case strings.IndexFunc(ref, func(c rune) bool { return !unicode.IsPrint(c) }) >= 0:
		return errors.New("holds a character that cannot be seen")
	}
	components := strings.Split(ref, "/")
	if len(components) < 3 || components[0] != "refs" {
		return errors.New("is no full name such as refs/heads/NAME")
	}
	if strings.EqualFold(components[1], "refs") || strings.EqualFold(components[2], "refs") {
		return errors.New("is a full name within another, which git may take for that one")
	}
	switch kind := "refs/" + components[1] + "/"; {
	case kind != branchRefs && kind != tagRefs:
		if strings.Contains(ref, "%") {
			return errors.New("has a %, behind which a forge takes options (Gerrit, refs/for/NAME%submit)")
		}
	case len(components) == 3 && likeID(components[2]):
		return errors.New("is the id of an object, and whoever asks for a version by that may get this")
	}
	for _, c := range components {
		switch {
		case c == "":
			return errors.New("has an empty component")
		case len(c) > maxRefComponent:
			return fmt.Errorf("has a component longer than %d bytes", maxRefComponent)
		case c[0] == '.', c[0] == '-', strings.HasSuffix(c, "."), c == "@":
			return fmt.Errorf("has the component %q: none may begin with a dot or a dash or end with a dot", c)
		case strings.HasSuffix(strings.ToLower(c), ".lock"):
			return errors.New("has a component that ends with .lock")
		}
	}
	if strings.EqualFold(ref, branchRefs+"HEAD") {
		return errors.New("is what git calls HEAD")
	}
	return nil
}
