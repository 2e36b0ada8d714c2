package gitgate

import (
	"net/http"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// action is what a request asks for, of a remote or of none.
type action int

const (
	unknown        action = iota // no path of a repository at all
	advertiseFetch               // what a fetch begins with
	advertisePush                // what a push begins with
	uploadPack
	receivePack
	wrongMethod
	lfs     // git-lfs, which would move content around the gate
	archive // git archive --remote
	dumb    // the files of a repository, for clients that know nothing better
)

const (
	suffix     = ".git"
	uploadName = "git-upload-pack"
	pushName   = "git-receive-pack"
	maxName    = 64 // of a remote: see egress.IsRemoteName
)

// parsePath reads a request's path as it was sent, and its query. The name may
// be none of a remote, but holds nothing beside letters, digits, dots, dashes
// and underscores. Nothing is decoded or cleaned: a path that would need it is
// none that git asks for.
func parsePath(method, escaped, query string) (name string, a action) {
	first, rest, found := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
	if !found || !strings.HasPrefix(escaped, "/") || !plain(first) {
		return "", unknown
	}
	name = strings.TrimSuffix(first, suffix)
	if name == first || !egress.IsRemoteName(name) {
		return "", unknown
	}
	switch {
	case rest == "info/refs":
		return name, advertisement(method, query)
	case rest == uploadName:
		return name, posted(method, uploadPack)
	case rest == pushName:
		return name, posted(method, receivePack)
	case rest == "info/lfs" || strings.HasPrefix(rest, "info/lfs/"):
		return name, lfs
	case rest == "git-upload-archive":
		return name, archive
	case rest == "HEAD" || strings.HasPrefix(rest, "objects/") || strings.HasPrefix(rest, "info/"):
		return name, dumb
	}
	return name, unknown
}

// asked is the first segment of a path, for people, or "" if it is not plain.
func asked(escaped string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
	if !plain(first) {
		return ""
	}
	return first
}

func advertisement(method, query string) action {
	switch {
	case method != http.MethodGet:
		return wrongMethod
	case query == "service="+uploadName:
		return advertiseFetch
	case query == "service="+pushName:
		return advertisePush
	case query == "service=git-upload-archive":
		return archive
	}
	return dumb
}

func posted(method string, a action) action {
	if method != http.MethodPost {
		return wrongMethod
	}
	return a
}

// plain tells whether a path segment may be shown, and may hold a name.
func plain(s string) bool {
	if s == "" || len(s) > maxName+2*len(suffix) {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// protocolOf reads the header Git-Protocol: "version=2" and the like, or "" for
// what is no version that this gate knows, as git does. Nothing else of it is
// ever handed to git.
func protocolOf(header string) string {
	if len(header) > 256 {
		return ""
	}
	best := ""
	for part := range strings.SplitSeq(header, ":") {
		switch part {
		case "version=0", "version=1", "version=2":
			best = max(best, part)
		}
	}
	return best
}
