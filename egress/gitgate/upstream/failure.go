package upstream

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// printable says whether a rune shows as itself and nowhere else: no control, no
// mark that piles up on others, nothing that is invisible or turns the line.
func printable(r rune) bool {
	const braille = '\u2800' // an empty one
	return r == ' ' || r != braille && unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// rule reads one line that git, ssh or curl writes in the C locale. Texts say
// where as %s; $1 is the expression's.
type rule struct {
	match *regexp.Regexp
	kind  Kind
	text  string
	// weak ones are told also after the reason, or instead of it.
	weak bool
}

func strong(kind Kind, expression, text string) rule {
	return rule{regexp.MustCompile(expression), kind, text, false}
}

func weak(kind Kind, expression, text string) rule {
	return rule{regexp.MustCompile(expression), kind, text, true}
}

const (
	hostKeyText = "%s: the host key is not the one in known_host_key: if the server's key really changed, put the new one into the bottle's manifest"
	certText    = "%s: its certificate is not signed by an authority that is trusted here: if it is right, name that authority in upstream_ca of the bottle's manifest"
	deniedText  = "%s refused the credential of this remote: check that it is the right one and may do this"
	missingText = "%s has no such repository, or does not show it to the credential of this remote: check the upstream's path in the bottle's manifest"
)

// rules are tried in this order on each line, and lines in the order they came:
// the first strong one is the reason.
//
// A sidecar without remotes does not hold them.
var rules = sync.OnceValue(func() []rule {
	return []rule{
		strong(HostKey, `^Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|^No .{1,40} host key is known for|^Host key for .{1,255} has changed|no matching host key type`, hostKeyText),
		strong(HostKey, `(SSL|TLS|server|peer).{0,40}certificate|certificate.{0,40}(verif|problem|expired)`, certText),
		strong(Unreachable, `Could not resolve (proxy|hostname|host)|Name or service not known`, "cannot reach %s: the name does not resolve"),
		strong(Unreachable, `Connection refused`, "cannot reach %s: connection refused"),
		strong(Unreachable, `No route to host|Network is unreachable|Address not available`, "cannot reach %s: there is no way to its address"),
		strong(Unreachable, `[Tt]imed out|Timeout`, "cannot reach %s: no answer"),
		strong(Unreachable, `Couldn't connect to server|Failed to connect to`, "cannot reach %s: it takes no connection"),
		strong(Unreachable, `from proxy after CONNECT|CONNECT tunnel failed|Proxy CONNECT aborted`, "cannot reach %s: the parent proxy refused"),
		strong(Permission, `Permission denied( \(|, please)|Authentication failed for|returned error: 40[13]\b|HTTP 40[13]\b|could not read (Username|Password)|unable to read askpass|(?i:access denied|marked as read only|not allowed to (push|upload|access)|unauthorized|permission to \S+ denied)`, deniedText),
		strong(Missing, `(?i:does not appear to be a git repository|repository .{0,255}not found|repository not found|project you were looking for|could not find repository|not exported)|returned error: (404|410)\b|HTTP 404\b|not valid: is this a git repository`, missingText),
		strong(Missing, `returned error: 30\d\b|HTTP 30\d\b|unable to update url base from redirection`, "%s answers with a redirect, which bb does not follow: put the address that the repository has now into the bottle's manifest"),
		strong(Atomic, `does not support --atomic push`, "%s knows no atomic push: push one ref at a time"),
		strong(Unreachable, `(?:returned error:|HTTP) (5\d\d|429)\b`, "cannot reach %s: it answers with error $1"),
		weak(Unreachable, `Connection (closed|reset)|kex_exchange|Broken pipe|Empty reply|unexpected disconnect|early EOF|RPC failed|hung up|recv error|SSL_ERROR|Could not read from remote repository|gnutls_handshake|TLS connect|Operation too slow|unable to access`, "cannot reach %s: the connection was closed"),
	}
})

// failure is what lines say about a run that failed.
func (w *watch) failure(t target) *Failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := classify(w.err.lines, w.out.lines, t)
	f.Said = w.said
	return f
}

// classify finds the reason among clean lines. A hostile upstream can choose
// which of its own failures it is told as, and nothing else: what it says gets
// into a text only as the reasons of a refused push.
//
// The other output is data, refs that anybody named, but for what a push prints
// there with --porcelain.
func classify(lines, out []string, t target) *Failure {
	if reason := rejection(slices.Concat(lines, out)); reason != "" {
		return &Failure{Kind: Rejected, Text: t.where + " refused the push: " + reason}
	}
	var second *Failure
	for _, line := range lines {
		_, theirs := strings.CutPrefix(line, "remote: ")
		for _, r := range rules() {
			m := r.match.FindStringSubmatch(line)
			if m == nil || theirs && r.kind != Permission && r.kind != Missing {
				continue // an upstream has its own words for these two only
			}
			text := strings.Replace(r.text, "%s", t.where, 1)
			if len(m) > 1 {
				text = strings.ReplaceAll(text, "$1", m[1])
			}
			if !r.weak {
				return &Failure{Kind: r.kind, Text: text}
			}
			if second == nil {
				second = &Failure{Kind: r.kind, Text: text}
			}
		}
	}
	if second != nil {
		return second
	}
	for _, line := range lines {
		for _, prefix := range []string{"fatal: ", "error: "} {
			if text, ok := strings.CutPrefix(line, prefix); ok {
				return &Failure{Kind: Other, Text: "git failed with " + t.where + ": " + text}
			}
		}
	}
	return &Failure{Kind: Other, Text: "git failed with " + t.where + " and did not say why"}
}

// refused are the forms of a refused ref, for people and of --porcelain.
var refused = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^ ?! ?\S* ?\[(?:remote )?rejected\] *(?:\S+ -> \S+ )?\((.+)\)$`)
})

// rejection is why a ref was refused, if one was: not only because another was.
func rejection(lines []string) (reason string) {
	for _, line := range lines {
		m := refused().FindStringSubmatch(line)
		if m == nil || reason != "" && !strings.HasPrefix(reason, "atomic ") {
			continue
		}
		reason = m[1]
	}
	return reason
}
