package gitgate

import (
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
)

// Whatever is asked for, a name is that of a directory entry at most, and what
// runs git has exactly one spelling.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{
		"/origin.git/info/refs", "/origin.git/git-upload-pack", "/../x.git/info/refs", "/a.git/info/lfs/x", "//", "/%2e%2e.git/info/refs", "/a.git2/info/refs",
	} {
		for _, q := range []string{"", "service=git-upload-pack", "service=git-receive-pack", "service=--x"} {
			f.Add("GET", s, q)
			f.Add("POST", s, q)
		}
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		name, a := parsePath(method, path, query)
		if name != "" && (!egress.IsRemoteName(name) || strings.ContainsAny(name, "/\\%\x00 \n") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-")) {
			t.Errorf("name %q", name)
		}
		want := map[action][3]string{
			advertiseFetch: {"GET", "/info/refs", "service=git-upload-pack"},
			advertisePush:  {"GET", "/info/refs", "service=git-receive-pack"},
			uploadPack:     {"POST", "/git-upload-pack", query},
			receivePack:    {"POST", "/git-receive-pack", query},
		}
		if w, ok := want[a]; ok && [3]string{method, path, query} != [3]string{w[0], "/" + name + ".git" + w[1], w[2]} {
			t.Errorf("%q %q %q is action %d of %q", method, path, query, a, name)
		}
	})
}

func FuzzProtocolOf(f *testing.F) {
	for _, s := range []string{"version=2", "version=1:version=2", "x=y", ":::", "version=2\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		switch got := protocolOf(header); got {
		case "", "version=0", "version=1", "version=2":
		default:
			t.Errorf("%q", got)
		}
	})
}

func FuzzParseListing(f *testing.F) {
	id := strings.Repeat("a", 40)
	f.Add([]byte("ref: refs/heads/main\tHEAD\n" + id + "\tHEAD\n" + id + "\trefs/heads/main\n" + id + "\trefs/tags/v1^{}\n"))
	f.Add([]byte("ref: --evil\tHEAD\n" + id + "\t--evil\n"))
	f.Add([]byte("\t\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		l, err := parseListing(out)
		if err != nil {
			return
		}
		for name, id := range l.Refs {
			if !strings.HasPrefix(name, "refs/") || !validID(id) {
				t.Errorf("%q %q", name, id)
			}
		}
		if l.Head != "" && l.Refs[l.Head] == "" {
			t.Errorf("HEAD %q is none of them", l.Head)
		}
	})
}
