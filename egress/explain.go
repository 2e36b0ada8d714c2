package egress

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// Target is one request as rules see it. Host is canonical, Path escaped.
type Target struct {
	Method, Scheme, Host string
	Port                 int
	Path, RawQuery       string
	WebSocket            bool
	// Connect asks for a tunnel only: whether the host has a route at all.
	Connect bool
}

// Explanation is a decision and why: the body of a 403 and the answer of
// explain are made of it.
type Explanation struct {
	Allowed bool   `json:"allowed"`
	Method  string `json:"method"`
	Host    string `json:"host"`
	Port    int    `json:"port"`
	Path    string `json:"path,omitempty"`
	// Rule is the Source of the deciding route.
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason"`
	// Add holds the manifest lines that would allow it, or nothing.
	Add string `json:"add,omitempty"`
	// Status is the answer's HTTP status: 200, 400 or 403.
	Status int    `json:"status"`
	Route  *Route `json:"-"`
}

// NotInspected is what people read about a tunnel.
const NotInspected = "not inspected"

// Text is the one sentence, and the lines to add, that people and agents read.
func (e Explanation) Text() string {
	text := e.Sentence()
	if !e.Allowed && e.Add != "" {
		rule := e.Rule
		if e.Route == nil || e.Route.Host != e.Host { // a route of its own
			rule = ""
		}
		text += "; to allow it, " + AddTo(rule) + ":\n" + e.Add
	}
	return text
}

// AddTo says where lines go that change what rule, a Source, decides. A host
// and port have one route in a bottle: a second one would be refused.
func AddTo(rule string) string {
	if at, ok := strings.CutPrefix(rule, "bottle "); ok {
		return "the route at " + at + " also needs"
	}
	return "the manifest needs"
}

// Sentence is Text without the lines to add: what a log keeps.
func (e Explanation) Sentence() string {
	if e.Allowed {
		text := fmt.Sprintf("egress: %s is allowed by %s", e.what(), e.Rule)
		if e.Route != nil && e.Route.Tunnel {
			text += ", " + NotInspected
		}
		return text
	}
	text := fmt.Sprintf("egress: %s is blocked: %s", e.what(), e.Reason)
	if e.Rule != "" {
		text += " (rule: " + e.Rule + ")"
	}
	return text
}

func (e Explanation) what() string {
	if e.Host == "" { // of a URL that cannot be read nothing is repeated
		return "the request"
	}
	return e.Method + " " + Authority(e.Host, e.Port, 443) + clip(e.Path)
}

// Explain decides about a method and a URL as the proxy would.
func Explain(routes []Route, method, rawURL string, now time.Time) Explanation {
	t, err := parseTarget(method, rawURL)
	if err != nil {
		return Explanation{Method: clip(method), Reason: err.Error(), Status: http.StatusBadRequest}
	}
	return Decide(routes, t, now)
}

// parseTarget reads a URL of a person or an agent.
func parseTarget(method, rawURL string) (Target, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Target{}, errors.New("not a URL")
	}
	if u.User != nil {
		return Target{}, errors.New("the URL must not hold a user or a password")
	}
	t := Target{Method: strings.ToUpper(method), Scheme: u.Scheme, Path: u.EscapedPath(), RawQuery: u.RawQuery}
	if t.Method == "" {
		t.Method = http.MethodGet
	}
	if t.Path == "" {
		t.Path = "/" // as it is sent (RFC 9110, 4.2.3)
	}
	if !IsToken(t.Method) {
		return Target{}, errors.New("not a method")
	}
	standard := 443
	switch u.Scheme {
	case "https":
	case "http":
		standard = 80
	case "wss":
		t.Scheme, t.WebSocket = "https", true
	case "ws":
		t.Scheme, t.WebSocket, standard = "http", true, 80
	default:
		return Target{}, errors.New("the URL needs http:// or https://")
	}
	t.Host, t.Port, err = SplitAuthority(u.Host, standard)
	return t, err
}

// Decide applies steps 3 and 4 of the order of work: git, then the route.
func Decide(routes []Route, t Target, now time.Time) Explanation {
	e := Explanation{Method: t.Method, Host: t.Host, Port: t.Port, Path: t.Path, Status: http.StatusForbidden}
	git := gitNone
	r := Find(routes, t.Host, t.Port, now)
	tunnel := r != nil && r.Tunnel
	if !t.Connect && !tunnel { // nobody sees what goes through a tunnel
		git = gitUseOf(t.Path, t.RawQuery)
	}
	if git == gitPush {
		e.Reason = "git push over HTTPS is refused for every host; declare the repository under git.remotes, " +
			"whose pushes are scanned and forwarded"
		host := Authority(t.Host, 443, 443)
		e.Add = "git:\n  remotes:\n    origin:\n      upstream: ssh://git@" + host + "/OWNER/REPOSITORY.git" +
			"\n      identity_file: ~/.ssh/DEPLOY_KEY\n      known_host_key: ssh-ed25519 BASE64 # ssh-keyscan -t ed25519 " + t.Host
		return e
	}
	if r == nil {
		e.Reason = "no route for " + Authority(t.Host, t.Port, 0)
		e.Add = e.lines(git == gitFetch, t.WebSocket)
		return e
	}
	e.Route, e.Rule = r, BaseSource(r.Source)
	e.refuse(r, t, git)
	if e.Reason == "" {
		e.Allowed, e.Status, e.Reason = true, http.StatusOK, "allowed"
		if tunnel {
			e.Reason = "allowed, " + NotInspected
		}
	}
	return e
}

// refuse sets a reason where the route does not cover the request.
func (e *Explanation) refuse(r *Route, t Target, git gitUse) {
	if t.Connect {
		return
	}
	plain := t.Scheme == "http"
	if r.Tunnel {
		if plain {
			e.Reason = "the route is a tunnel, which carries TLS only; use https"
		}
		return
	}
	verdict := r.Allows(t.Method, t.Path)
	switch {
	case strings.EqualFold(t.Method, http.MethodTrace) || strings.EqualFold(t.Method, "TRACK"):
		e.Reason = t.Method + " would echo the credential"
	case plain && t.Port == 443:
		e.Reason = "plain http to port 443; use https"
	case plain && r.Auth != nil && t.Port != 80:
		e.Reason = "the route injects a credential, which goes over https, or over http to port 80 only"
	case git == gitFetch && !r.GitFetch:
		e.Reason = "git fetch over HTTPS needs a route that says so; or declare the repository under git.remotes"
		e.Add = e.lines(true, false)
	case t.WebSocket && !r.WebSocket:
		e.Reason = "a WebSocket needs a route that says so"
		e.Add = e.lines(false, true)
	case verdict.Malformed:
		e.Status = http.StatusBadRequest
		e.Reason = verdict.Reason + ", and a rule looks at the path"
	case !verdict.Allowed:
		e.Reason = verdict.Reason
		e.Add = e.lines(false, false)
	}
}

// lines is the manifest's entry for this very request.
func (e *Explanation) lines(fetch, websocket bool) string {
	var b strings.Builder
	b.WriteString("egress:\n  routes:\n    - host: " + yamlString(e.Host))
	if e.Port != 443 {
		b.WriteString("\n      port: " + strconv.Itoa(e.Port))
	}
	if e.Route != nil && len(e.Route.Matches) > 0 {
		p := e.Path
		if _, err := CanonicalPath(p); err != nil || p == "" {
			p = "/"
		}
		b.WriteString("\n      matches:")
		if m := e.Route.Matches; len(m) == 1 && len(m[0].Methods) == 0 && e.Route.Host == e.Host {
			b.WriteString(" # in place of path_allowlist\n        - paths: [" + yamlList(m[0].Paths) + "]")
		}
		b.WriteString("\n        - methods: [" + e.Method + "]\n          paths: [" + yamlString(clip(p)) + "]")
	}
	if fetch {
		b.WriteString("\n      git: {fetch: true}")
	}
	if websocket {
		b.WriteString("\n      websocket: true")
	}
	return b.String()
}

// BaseSource is a Source without directories: the inside of a bottle does not
// learn how the host's files lie.
func BaseSource(source string) string {
	words := strings.Fields(source)
	for i, w := range words {
		if strings.Contains(w, "/") {
			words[i] = path.Base(w)
		}
	}
	return strings.Join(words, " ")
}

func yamlList(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = yamlString(s)
	}
	return strings.Join(out, ", ")
}

func yamlString(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == "" {
		return s
	}
	return strconv.QuoteToASCII(s)
}

func clip(s string) string {
	if len(s) > 300 {
		s = s[:300] + "..."
	}
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}
