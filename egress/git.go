package egress

import (
	"net/url"
	"strings"
)

// gitUse says whether a request speaks git over HTTP. Paths and queries are
// decoded as far as they go: what a server might understand counts.
type gitUse int

const (
	gitNone gitUse = iota
	gitFetch
	gitPush
)

func gitUseOf(escapedPath, rawQuery string) gitUse {
	use := gitNone
	path := decodeFully(escapedPath)
	if !strings.Contains(path, "git") && !strings.Contains(path, "info") && rawQuery == "" {
		return gitNone
	}
	segments := strings.FieldsFunc(path, func(c rune) bool { return c == '/' || c == '\\' })
	for i, s := range segments {
		s, _, _ = strings.Cut(s, ";")
		switch {
		case s == "git-receive-pack":
			return gitPush
		case s == "git-upload-pack" || s == "git-upload-archive":
			use = gitFetch
		case s == "refs" && i > 0 && segments[i-1] == "info" && i == len(segments)-1:
			use = gitFetch
		}
	}
	for _, part := range strings.FieldsFunc(rawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		switch decodeFully(part) {
		case "service=git-receive-pack":
			return gitPush
		case "service=git-upload-pack", "service=git-upload-archive":
			use = gitFetch
		}
	}
	return use
}

// decodeFully undoes nested percent encoding and lowers the case.
func decodeFully(s string) string {
	for range 4 {
		if !strings.Contains(s, "%") {
			break
		}
		decoded, err := url.PathUnescape(s)
		if err != nil || decoded == s {
			break
		}
		s = decoded
	}
	return strings.ToLower(s)
}
