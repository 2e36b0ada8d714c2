package supervise

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
)

// Ask is what an agent says when it proposes a route.
type Ask struct {
	Host    string   `json:"host" jsonschema:"the host name, as api.example.com"`
	Port    int      `json:"port,omitempty" jsonschema:"the port, 443 when it is left out"`
	Methods []string `json:"methods,omitempty" jsonschema:"HTTP methods, all when it is left out"`
	Paths   []string `json:"paths,omitempty" jsonschema:"path prefixes that begin with /, all when it is left out"`
	Reason  string   `json:"reason" jsonschema:"why it is needed, for the person who decides"`
}

// Bounds of what is asked: entries, and bytes of one.
const (
	maxEntries = 16
	maxMethod  = 32
	maxPath    = 1024
)

// Route judges what is asked by the rules of the manifest, so that what a person
// approves can be put in force. It never carries a login.
func (a Ask) Route() (egress.Route, error) {
	r := egress.Route{Host: strings.ToLower(strings.TrimSpace(a.Host)), Port: a.Port, Source: "approved"}
	if r.Port == 0 {
		r.Port = 443
	}
	if len(a.Methods) > maxEntries || len(a.Paths) > maxEntries {
		return r, fmt.Errorf("at most %d methods and %d paths", maxEntries, maxEntries)
	}
	if len(a.Methods)+len(a.Paths) > 0 {
		m := egress.Match{Paths: ordered(a.Paths)}
		for _, method := range a.Methods {
			if len(method) > maxMethod || !egress.IsToken(method) {
				return r, errors.New("a method is a word such as GET")
			}
			m.Methods = append(m.Methods, strings.ToUpper(method))
		}
		m.Methods = ordered(m.Methods)
		for _, path := range m.Paths {
			if len(path) > maxPath {
				return r, fmt.Errorf("a path is %d bytes, at most %d", len(path), maxPath)
			}
		}
		r.Matches = []egress.Match{m}
	}
	if strings.Contains(r.Host, "*") {
		return r, errors.New("name one host: a wildcard is for the manifest")
	}
	return r, egress.CheckRoutes([]egress.Route{r})
}

// ordered makes the same question of the same words in another order.
func ordered(words []string) []string {
	out := slices.Clone(words)
	slices.Sort(out)
	return slices.Compact(out)
}

func reason(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", errors.New("say why: a person decides by it")
	case len(text) > egress.MaxReason:
		return "", fmt.Errorf("the reason is %d bytes, at most %d", len(text), egress.MaxReason)
	}
	return text, nil
}
