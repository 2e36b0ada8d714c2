package docker

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// ignore is a .dockerignore: the last pattern that matches a name or one of
// its parents decides.
type ignore struct {
	rules     []ignoreRule
	exception bool // some rule brings names back
}

type ignoreRule struct {
	match *regexp.Regexp
	keep  bool
}

func parseIgnore(text string) (ignore, error) {
	var g ignore
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pattern, keep := strings.CutPrefix(line, "!")
		pattern = strings.Trim(path.Clean(strings.TrimSpace(pattern)), "/")
		if pattern == "." || pattern == "" {
			continue
		}
		re, err := regexp.Compile("^" + globToRegexp(pattern) + "(/.*)?$")
		if err != nil {
			return g, fmt.Errorf("bad pattern %q", line)
		}
		g.rules = append(g.rules, ignoreRule{re, keep})
		g.exception = g.exception || keep
	}
	return g, nil
}

// globToRegexp knows what .dockerignore knows: *, ?, [...], ** and escapes.
func globToRegexp(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case strings.HasPrefix(glob[i:], "**/"):
			b.WriteString("(.*/)?")
			i += 2
		case strings.HasPrefix(glob[i:], "**"):
			b.WriteString(".*")
			i++
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[':
			end := strings.IndexByte(glob[i:], ']')
			if end < 0 {
				b.WriteString("[") // refused by the compiler
				continue
			}
			b.WriteString(glob[i : i+end+1])
			i += end
		case c == '\\' && i+1 < len(glob):
			i++
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
	}
	return b.String()
}

func (g ignore) matches(name string) bool {
	ignored := false
	for _, r := range g.rules {
		if r.match.MatchString(name) {
			ignored = !r.keep
		}
	}
	return ignored
}

// skipsDir reports whether nothing below a directory can belong.
func (g ignore) skipsDir(name string) bool { return !g.exception && g.matches(name) }
