package gitgate

import (
	"bytes"
	"fmt"
	"strings"
)

// tips are what the upstream has, as last asked.
type tips struct {
	Head string            // full name of the default branch, "" if none
	Refs map[string]string // full name -> object id
	// Links maps a symbolic ref to the ref that it stands for, where the
	// upstream says that (protocol version 2): who pushes to one, changes the other.
	Links map[string]string
}

// listing is an answer of git ls-remote --symref.
type listing struct {
	tips
	detached string // the id of a HEAD that names no branch
}

// maxListing bounds an answer: some 600,000 refs.
const maxListing = 48 << 20

// parseListing reads an answer. Names are the upstream's own: they are handed
// to git, but never as options, since each begins with "refs/".
func parseListing(out []byte) (listing, error) {
	l := listing{tips: tips{Refs: map[string]string{}, Links: map[string]string{}}}
	for row := range strings.Lines(string(out)) {
		value, name, ok := strings.Cut(strings.TrimSuffix(row, "\n"), "\t")
		if !ok {
			return listing{}, fmt.Errorf("the upstream's list of refs has a malformed line")
		}
		target, symbolic := strings.CutPrefix(value, "ref: ")
		switch {
		case symbolic && name == "HEAD":
			l.Head = target
		case symbolic:
			l.Links[name] = target
		case strings.HasSuffix(name, "^{}"):
		case !validID(value):
			return listing{}, fmt.Errorf("the upstream's list of refs has a malformed object id")
		case name == "HEAD":
			l.detached = value
		case strings.HasPrefix(name, "refs/"):
			l.Refs[name] = value
		}
	}
	if _, ok := l.Refs[l.Head]; !ok {
		l.Head = "" // not there, or no name of a ref
	}
	return l, nil
}

// validID tells whether s is an object id in hex.
func validID(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// format is the object format of what the upstream listed, "" if nothing.
func (l *listing) format() string {
	for _, id := range l.Refs {
		if len(id) == 64 {
			return formatSHA256
		}
		return formatSHA1
	}
	return ""
}

// listBuffer is a buffer that refuses what is too much.
type listBuffer struct {
	bytes.Buffer
	most int
}

func (b *listBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, told("the upstream has too many refs")
	}
	return b.Buffer.Write(p)
}
