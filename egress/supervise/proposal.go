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
	Paths   []string `json:"paths,omitempty" jsonschema:"path prefixes that begin with /, spelt as in a URL with %20 for a space, all when it is left out"`
	Reason  string   `json:"reason" jsonschema:"why it is needed, for the person who decides"`
}

// Route judges what is asked by the rules of the manifest, so that what a person
// approves can be put in force. It never carries a login.
func (a Ask) Route() (egress.Route, error) {
	r := egress.Route{Host: strings.ToLower(strings.TrimSpace(a.Host)), Port: a.Port, Source: egress.SourceAsked}
	if r.Port == 0 {
		r.Port = 443
	}
	if len(a.Methods)+len(a.Paths) > 0 {
		m := egress.Match{Paths: ordered(a.Paths)}
		for _, method := range a.Methods {
			m.Methods = append(m.Methods, strings.ToUpper(method))
		}
		m.Methods = ordered(m.Methods)
		r.Matches = []egress.Match{m}
	}
	return r, egress.CheckAsked(r)
}

// ordered makes the same question of the same words in another order.
func ordered(words []string) []string {
	out := slices.Clone(words)
	slices.Sort(out)
	return slices.Compact(out)
}

// reason is one line: runs of white space could be wrapped into lines of bb's.
func reason(text string) (string, error) {
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case text == "":
		return "", errors.New("say why: a person decides by it")
	case len(text) > egress.MaxReason:
		return "", fmt.Errorf("the reason is %d bytes, at most %d", len(text), egress.MaxReason)
	}
	return text, nil
}
