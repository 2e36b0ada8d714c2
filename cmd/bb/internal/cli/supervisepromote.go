package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type supervisePromoteCmd struct {
	Bottle string `arg:"" help:"The bottle, as bb ps names it."`
}

// Run prints what is in force of what was approved, as whole routes for the
// manifest: with them in it, the approvals add nothing.
func (c *supervisePromoteCmd) Run(ctx context.Context, a *app) error {
	found, o, err := a.instance(ctx, c.Bottle)
	if err != nil {
		return err
	}
	w, err := a.compile([]string{found.scopes.agentOf(o.ID)}, state.Read)
	if err != nil {
		return err
	}
	agent, s := w.fleet.Agent(found.scopes.agentOf(o.ID)), (&planning{compiled: w, app: a}).specFor(o.ID)
	if agent == nil || s == nil {
		return diag.Errorf("no manifest declares %s", o.ID).WithHint("bb supervise approved %s lists what is approved", o.ID)
	}
	all, err := approvals(w.state).Read(o.ID)
	if err != nil {
		return err
	}
	return promote(a.stdout, all.Live(w.options.Now), s, agent.Bottle.Egress.Routes, w.options.Now)
}

// promote prints the routes that an overlay makes of those of a manifest.
func promote(w io.Writer, o approval.Overlay, s *spec.Spec, manifest []egress.Route, now time.Time) error {
	live := s.Live
	left, err := o.Apply(&live)
	if err != nil {
		return err
	}
	if o.Empty() {
		_, err := fmt.Fprintln(w, "Nothing is approved.")
		return err
	}
	var b strings.Builder
	seen := map[string]bool{}
	for _, x := range describeApproved(s.ID, o, s) {
		fmt.Fprintf(&b, "# %s  (%s)\n", view.Escape(x.Text), view.Escape(view.ApprovedWhen(x, now)))
		if x.Kind == "value" {
			b.WriteString("# no line of a manifest lets one value pass: dlp of its route says what is done with hits\n")
		}
	}
	head := "egress:\n  routes:\n"
	for _, e := range o.Routes {
		key := egress.Authority(e.Route.Host, e.Route.Port, 0)
		if seen[key] || slices.ContainsFunc(left, func(l approval.Entry) bool { return l.Proposal == e.Proposal }) {
			continue
		}
		seen[key] = true
		if allowed := egress.Find(live.Routes, e.Route.Host, e.Route.Port, now); approval.Is(*allowed) {
			r, note := promoted(*allowed, egress.Declared(live.Routes), manifest, live.Tokens)
			b.WriteString(head + routeLines(r, note))
			head = ""
		}
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// promoted is the route that a manifest needs for what is allowed of one host, and
// a note about it: in whose place it stands. What a provider adds to a route is
// left to it.
func promoted(allowed egress.Route, declared, manifest []egress.Route, tokens map[string]string) (r egress.Route, note string) {
	r = egress.Route{Host: allowed.Host, Port: allowed.Port, Matches: allowed.Matches}
	base := egress.Base(declared, r.Host, r.Port)
	own := egress.Base(manifest, r.Host, r.Port)
	if base == nil {
		return r, ""
	}
	r.GitFetch, r.WebSocket, r.MaxBody, r.SSRFIPAllowlist = base.GitFetch, base.WebSocket, base.MaxBody, base.SSRFIPAllowlist
	switch {
	case own != nil && own.Host == r.Host:
		r.Auth, r.TLSPassthrough, r.DLP = own.Auth, own.TLSPassthrough, own.DLP
		return r, "instead of " + own.Source
	case base.Host == r.Host && own != nil: // a provider's, within the limits of a wildcard
		r.DLP = own.DLP
	case base.Host != r.Host: // a wildcard's, whose rules end where a host has its own
		r.Auth, r.TLSPassthrough, r.DLP = approval.Login(declared, tokens, r), base.TLSPassthrough, base.DLP
		if len(base.Strip) > 0 || base.DLP != nil && base.DLP.Patterns != "" {
			note = "without the further headers and patterns that " + base.Source + " knows, which no manifest can say"
		}
	}
	return r, note
}

// routeLines is a route as a manifest has it.
func routeLines(r egress.Route, note string) string {
	var b strings.Builder
	if note != "" {
		fmt.Fprintf(&b, "    # %s\n", view.Escape(note))
	}
	fmt.Fprintf(&b, "    - host: %q\n", r.Host)
	line := func(on bool, format string, args ...any) {
		if on {
			fmt.Fprintf(&b, "      "+format+"\n", args...)
		}
	}
	line(r.Port != 443, "port: %d", r.Port)
	all := slices.ContainsFunc(r.Matches, func(m egress.Match) bool { return len(m.Methods)+len(m.Paths) == 0 })
	if len(r.Matches) > 0 && !all {
		matches := make([]string, len(r.Matches))
		for i, m := range r.Matches {
			matches[i] = "{" + mapping("methods", listText(m.Methods), "paths", listText(m.Paths)) + "}"
		}
		line(true, "matches: [%s]", strings.Join(matches, ", "))
	}
	if x := r.Auth; x != nil {
		line(true, "auth: {%s}", mapping("scheme", x.Scheme, "token_ref", tokenText(x.TokenRef),
			"header", quotedOne(x.Header), "query", quotedOne(x.Query)))
	}
	line(r.TLSPassthrough || len(r.SSRFIPAllowlist) > 0, "pipelock: {%s}",
		mapping("tls_passthrough", yes(r.TLSPassthrough), "ssrf_ip_allowlist", listText(r.SSRFIPAllowlist)))
	line(r.GitFetch, "git: {fetch: true}")
	line(r.WebSocket, "websocket: true")
	line(r.MaxBody > 0, "max_body: %s", plan.Bytes(r.MaxBody))
	if d := r.DLP; d != nil {
		line(d.OnMatch != "" || d.Stream, "dlp: {%s}", mapping("on_match", d.OnMatch, "stream", yes(d.Stream)))
	}
	return b.String()
}

// mapping joins the pairs of a flow mapping whose value is not empty.
func mapping(pairs ...string) string {
	var out []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, pairs[i]+": "+pairs[i+1])
		}
	}
	return strings.Join(out, ", ")
}

func yes(on bool) string {
	if on {
		return "true"
	}
	return ""
}

func quotedOne(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("%q", s)
}

func listText(words []string) string {
	if len(words) == 0 {
		return ""
	}
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// tokenText is a reference as a manifest has it: a command is a list of its own.
func tokenText(ref string) string {
	if command, ok := strings.CutPrefix(ref, "command:"); ok {
		var argv []string
		if json.Unmarshal([]byte(command), &argv) == nil {
			return "{command: " + listText(argv) + "}"
		}
	}
	return quotedOne(ref)
}
