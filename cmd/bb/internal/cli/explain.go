package cli

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/proxy"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type explainCmd struct {
	Agent  string `arg:"" help:"The agent; home/NAME for one that a repository's shadows."`
	URL    string `arg:"" help:"What it would ask for: http, https, ws or wss."`
	Method string `short:"X" help:"The request's method." default:"GET" placeholder:"METHOD"`
	JSON   bool   `help:"Print as JSON."`
}

// explained is what becomes of one request, and why.
type explained struct {
	Agent string `json:"agent"`
	egress.Explanation
	// Text is what the agent would read.
	Text string `json:"text"`
	// File and Line are those of the deciding rule, or of the place where one
	// would have to stand. A rule that is built in has none.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// The rest is about requests that a rule allows. Auth is the credential that
	// is put on them, by name; Login what becomes of the agent's own.
	Auth    string    `json:"auth,omitempty"`
	Login   string    `json:"agent_login,omitempty"`
	Tunnel  bool      `json:"tunnel,omitempty"`
	Hits    *hitWords `json:"dlp,omitempty"`
	MaxBody int64     `json:"max_body,omitempty"`
	Through []string  `json:"through,omitempty"`
	Refused string    `json:"address_refused,omitempty"`
	// For people: where the rule is, and where lines would have to be added.
	ruleAt, addAt string
}

// hitWords are what hits of either kind do.
type hitWords struct {
	Known  string `json:"known_values"`
	Others string `json:"others"`
	Stream bool   `json:"stream"`
}

// Run compiles and decides as the sidecar would. It asks no engine.
func (c *explainCmd) Run(a *app) error {
	w, err := a.compile([]string{c.Agent}, state.Read)
	if err != nil {
		return err
	}
	x := w.fleet.Agent(c.Agent)
	if x == nil {
		return diag.Errorf("there is no agent %q", c.Agent)
	}
	a.warn(w.warnings)
	one, problems := compile.AdHoc(x, w.options, "1") // also where no replica is declared
	if err := problems.Err(); err != nil {
		return err
	}
	if err := w.approve(one.Specs[0]); err != nil { // of the first bottle
		return err
	}
	e := explain(x, one.Specs[0], c.Method, c.URL, w.options.Now)
	if c.JSON {
		err = a.printJSON(e)
	} else {
		for line := range strings.Lines(e.lines()) {
			fmt.Fprintln(a.stdout, view.Escape(strings.TrimSuffix(line, "\n")))
		}
	}
	if err == nil && (!e.Allowed || e.Refused != "") {
		return exitError{code: exitFailed}
	}
	return err
}

// explain decides with the function of the proxy and of its page inside the
// bottle, and adds what only the host knows.
func explain(x *manifest.Agent, s *spec.Spec, method, url string, now time.Time) explained {
	routes := s.Live.Routes
	e := explained{Agent: x.Name, Explanation: egress.Explain(routes, method, url, now)}
	e.Text = e.Explanation.Text()
	r := e.Route
	if r != nil && len(r.Approved) > 0 {
		e.ruleAt = r.Source // it stands in no file
	} else {
		e.locate(x, slices.IndexFunc(routes, func(y egress.Route) bool { return r != nil && y.Host == r.Host && y.Port == r.Port }))
	}
	if addr, err := netip.ParseAddr(e.Host); err == nil {
		var lists []string
		if r != nil {
			lists = r.SSRFIPAllowlist
		}
		if err := proxy.CheckAddress(addr, lists); err != nil {
			e.Refused = err.Error()
		}
	}
	if !e.Allowed || r == nil {
		return e
	}
	e.MaxBody, e.Tunnel = r.MaxBody, r.Tunnel
	e.Login = "dropped"
	switch {
	case r.Auth != nil:
		e.Auth = strings.TrimSpace(r.Auth.Scheme + " " + egress.ParseRef(s.Live.Tokens[r.Auth.Slot]).String())
	case r.TLSPassthrough || r.Tunnel:
		e.Login = "passes"
	}
	if !r.Tunnel {
		if r.DLP == nil || !r.DLP.Stream {
			e.MaxBody = min(cmp.Or(r.MaxBody, egress.MaxWhole), egress.MaxWhole)
		}
		e.Hits = &hitWords{
			Known: r.Action(egress.Hit{Known: true}), Others: r.Action(egress.Hit{}), Stream: r.DLP != nil && r.DLP.Stream,
		}
	}
	if s.Gate.Pipelock {
		e.Through = append(e.Through, "pipelock")
	}
	if p := plan.DescribeParent(s.Live.Parent, s.Live.Tokens); p != "" {
		e.Through = append(e.Through, "parent proxy "+p)
	}
	return e
}

// locate finds the line of the deciding rule, and the block that lines would
// have to be added to. The merged list begins with the bottle's own routes.
func (e *explained) locate(x *manifest.Agent, rule int) {
	b := x.Bottle
	own := rule >= 0 && rule < len(b.Egress.Routes)
	var at manifest.Pos
	switch {
	case own:
		path := fmt.Sprintf("egress.routes[%d]", rule)
		at = declared(b, path+".host", path)
		e.ruleAt = linePlace(at)
	case rule >= 0:
		at, e.ruleAt = providerRule(b.Provider, e.Route)
	}
	if !own && e.Add != "" {
		add := declared(b, "egress.routes", "egress")
		e.addAt = linePlace(add)
		if rule < 0 {
			at = add
		}
	}
	if at.File == "" {
		return
	}
	e.File, e.Line = at.File, at.Line
	if abs, err := filepath.Abs(at.File); err == nil {
		e.File = abs
	}
}

// declared is where the first of paths stands, else the bottle's file.
func declared(b *manifest.Bottle, paths ...string) manifest.Pos {
	for _, p := range paths {
		if pos, ok := b.From[p]; ok {
			return pos
		}
	}
	return manifest.Pos{File: manifest.ShownPath(b.File)}
}

func linePlace(pos manifest.Pos) string {
	if pos.Line > 0 {
		return pos.File + ":" + strconv.Itoa(pos.Line)
	}
	return pos.File
}

// providerRule finds a route in the file of a provider of the user's own.
func providerRule(p manifest.ProviderDecl, route *egress.Route) (manifest.Pos, string) {
	if p.Custom == nil {
		return manifest.Pos{}, "built into bb"
	}
	at := manifest.Pos{File: manifest.ShownPath(p.Custom.File)}
	for _, r := range p.Custom.Routes {
		if r.Host == route.Host && r.Port == route.Port {
			_, digits, _ := strings.Cut(r.Source, ":")
			at.Line, _ = strconv.Atoi(digits) // 0 shows the file alone
		}
	}
	return at, linePlace(at)
}
