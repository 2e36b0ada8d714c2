package egress

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// SourceAsked is the source of a route that is only asked for.
const SourceAsked = "approved"

// Bounds of a route that is asked for: entries of a list, and bytes.
const (
	maxAsked       = 16
	maxAskedMethod = 32
	maxAskedPath   = 1024
	maxAskedPaths  = 4 << 10 // of all together
)

// CheckAsked judges a route that an agent asks for: one host by its name, no
// login, and paths that read the same to a person as to the sidecar. Its errors
// are for the agent.
func CheckAsked(r Route) error {
	bare := Route{Host: r.Host, Port: r.Port, Matches: r.Matches, Source: SourceAsked}
	switch {
	case !reflect.DeepEqual(r, bare):
		return errors.New("only a host, a port, methods and paths can be asked for")
	case strings.Contains(r.Host, "*"):
		return errors.New("name one host: a wildcard is for the manifest")
	case len(r.Matches) > 1:
		return errors.New("one list of methods and one of paths: ask for more by itself")
	}
	for _, m := range r.Matches {
		if len(m.Methods) > maxAsked || len(m.Paths) > maxAsked {
			return fmt.Errorf("at most %d methods and %d paths", maxAsked, maxAsked)
		}
		if slices.ContainsFunc(m.Methods, func(s string) bool { return !isMethod(s) }) {
			return errors.New("a method is a word such as GET")
		}
		total := 0
		for _, p := range m.Paths {
			if total += len(p); len(p) > maxAskedPath || total > maxAskedPaths {
				return fmt.Errorf("a path is at most %d bytes, all together %d", maxAskedPath, maxAskedPaths)
			}
			if err := checkSpelling(p); err != nil {
				return err
			}
		}
	}
	return CheckRoutes([]Route{r})
}

func isMethod(s string) bool {
	return len(s) <= maxAskedMethod && IsToken(s) && s == strings.ToUpper(s)
}

// checkSpelling has one spelling for each path: the characters that RFC 3986
// allows in one, and an escape only for what is none of them. With others an
// agent could write words of bb's into a path, or hide what it is (attack G7).
func checkSpelling(path string) error {
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			if d := unhex(path[i+1])<<4 | unhex(path[i+2]); isPathChar(d) {
				return fmt.Errorf("path %s: write %c for %s, which needs no escape", quote(path), d, path[i:i+3])
			}
			i += 2
		case c == '%':
			return fmt.Errorf("path %s has a bad percent escape", quote(path))
		case !isPathChar(c):
			return fmt.Errorf("path %s: write %%%02X for %s, which no path of a URL has", quote(path), c, quote(string([]byte{c})))
		}
	}
	return nil
}

// isPathChar reports whether c is a pchar of RFC 3986, 3.3, or a slash.
func isPathChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0
}

// Check judges a proposal that a sidecar tells of. The host trusts no sidecar
// further than that: everything of an agent's passes it.
func (p Proposal) Check() error {
	if !isID(p.ID) {
		return errors.New("its id is not 16 hex digits")
	}
	// What is later or earlier has no form in JSON, in some time zone.
	if y := p.Created.UTC().Year(); y < 2000 || y > 9000 {
		return errors.New("it has no time")
	}
	if y := p.Expires.UTC().Year(); y > 9000 {
		return errors.New("it has no end")
	}
	if len(p.Reason) > MaxReason {
		return errors.New("its reason is too long")
	}
	kinds := map[string]bool{
		ProposeRoute: p.Route != nil, ProposeCapability: p.Dockerfile != "", ProposeValue: p.Held != nil, ProposePush: p.Push != nil,
	}
	for kind, there := range kinds {
		if there != (kind == p.Kind) {
			return errors.New("it does not hold what its kind says")
		}
	}
	switch {
	case p.Route != nil:
		return CheckAsked(*p.Route)
	case p.Held != nil:
		return p.Held.check()
	case p.Push != nil:
		return p.Push.check()
	case len(p.Dockerfile) > MaxProposalText:
		return errors.New("its Dockerfile is too long")
	}
	return nil
}

func isID(s string) bool { return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == "" }

func (h *HeldValue) check() error {
	if err := CheckRoutes([]Route{{Host: h.Host, Port: h.Port}}); err != nil {
		return err
	}
	switch {
	case strings.Contains(h.Host, "*"):
		return errors.New("it is for no single host")
	case len(h.Method) > MaxReason || len(h.Path) > MaxReason || len(h.Place) > MaxReason || len(h.Detector) > MaxReason:
		return errors.New("its text is too long")
	case len(h.Digests) == 0 || len(h.Digests) > MaxHeldValues:
		return fmt.Errorf("it holds %d values, at most %d", len(h.Digests), MaxHeldValues)
	}
	for _, d := range h.Digests {
		if len(d) != 64 || strings.Trim(d, "0123456789abcdef") != "" {
			return errors.New("it holds what is no digest")
		}
	}
	return nil
}

func (n *PushNotice) check() error {
	if len(n.Remote) > MaxReason || len(n.Ref) > MaxReason || len(n.Reason) > MaxReason || n.More < 0 {
		return errors.New("its text is too long")
	}
	return nil
}
