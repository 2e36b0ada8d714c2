package leaks

import (
	"fmt"
	"regexp"

	"github.com/pelletier/go-toml/v2"
	"github.com/zricethezav/gitleaks/v8/config"
)

// The rules are those that gitleaks has built in (config.DefaultConfig), and
// nobody's file or environment changes them. What is different here, because
// in a gate it is the pusher who writes everything but the secret itself:
//
//   - No allowlist of paths, global or of a rule: node_modules, lock files and
//     images are searched. No gitleaks:allow.
//   - No allowlist that looks at the line or the match around a secret: a word
//     beside it would let it pass. Only what the secret itself is counts, and
//     that of a private key, whose headers are free text, does not.
//   - "^true|false|null$" of the global allowlist takes any secret with "false"
//     in it; it is replaced by what was meant.
//   - The path that a rule is limited to (*.php, *.yaml, nuget.config) is not
//     asked for, except by hashicorp-tf-password, which else takes any password
//     of an example, and by the rule that is nothing else.
//   - dropped lists the rules that are not used, and why, and sharper those of
//     which a part would refuse honest pushes.

// ruleFile is what is read of gitleaks' configuration.
type ruleFile struct {
	Rules     []ruleText
	Allowlist allowText
}

type ruleText struct {
	ID, Regex, Path string
	Entropy         float64
	SecretGroup     int
	Keywords        []string
	Allowlists      []allowText
}

type allowText struct {
	Condition, RegexTarget    string
	Regexes, Paths, StopWords []string
}

// dropped are rules of gitleaks that are not used here.
var dropped = map[string]string{
	"jwt":             "any JWT, also one of documentation or without a signature; egress/dlp/tokens reads them",
	"jwt-base64":      "as jwt; base64 is decoded before the search",
	"private-key":     "anything between two lines of PEM, also source code that names both; egress/dlp/tokens looks at the key",
	"generic-api-key": "any word behind =; assigned (assigned.go) asks for a value that was drawn at random",
}

// sharper are expressions in place of those that gitleaks has.
var sharper = map[string]string{
	// Any git id in a file that says sourcegraph.
	"sourcegraph-access-token": `(?i)\b(sgp_(?:[a-f0-9]{16}_|local_)?[a-f0-9]{40})(?:[\x60'"\s;]|\\[nr]|$)`,
	// EAAA is three zero bytes in base64; tokens have 64 characters.
	"square-access-token": `\b((?:EAAA[\w-]{60}|sq0atp-[\w-]{22,60}))(?:[\x60'"\s;]|\\[nr]|$)`,
}

// wide is the one entry of the global allowlist that means something else than
// it says.
const wide = "(?i)^true|false|null$"

// readRules returns the rules of gitleaks as they are used here.
func readRules() ([]*rule, error) {
	var file ruleFile
	if err := toml.Unmarshal([]byte(config.DefaultConfig), &file); err != nil {
		return nil, fmt.Errorf("the rules cannot be read: %w", err)
	}
	var everywhere allow
	for _, r := range file.Allowlist.Regexes {
		if r == wide {
			r = "(?i)^(?:true|false|null)$"
		}
		everywhere.regexes = append(everywhere.regexes, r)
	}
	everywhere.words = file.Allowlist.StopWords
	var rules []*rule
	for _, t := range file.Rules {
		if dropped[t.ID] != "" {
			continue
		}
		if better := sharper[t.ID]; better != "" {
			t.Regex = better
		}
		if t.Regex != "" && t.ID != "hashicorp-tf-password" {
			t.Path = ""
		}
		r := &rule{id: t.ID, source: t.Regex, path: t.Path, entropy: t.Entropy, group: t.SecretGroup, keywords: t.Keywords}
		r.allows = append(r.allows, &everywhere)
		for _, a := range t.Allowlists {
			if len(a.Paths) > 0 && a.Condition == "AND" || a.RegexTarget != "" && a.RegexTarget != "secret" {
				continue
			}
			if len(a.Regexes)+len(a.StopWords) > 0 {
				r.allows = append(r.allows, &allow{regexes: a.Regexes, words: a.StopWords})
			}
		}
		if err := r.prepare(); err != nil {
			return nil, fmt.Errorf("rule %s: %w", t.ID, err)
		}
		rules = append(rules, r)
	}
	return append(rules, assignedRule()), nil
}

// compile is called once for each rule that has something to look at.
func compile(source string) *regexp.Regexp { return regexp.MustCompile(source) }
