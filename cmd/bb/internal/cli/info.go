package cli

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type infoCmd struct {
	Agent string `arg:"" help:"The agent; home/NAME for one that a repository's shadows."`
	JSON  bool   `help:"Print as JSON."`
}

// field is one effective value and where it comes from.
type field struct {
	Path  string `json:"path"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// Run prints the effective manifest of an agent, field by field.
func (c *infoCmd) Run(a *app) error {
	w, err := a.compile([]string{c.Agent}, state.Read)
	if err != nil {
		return err
	}
	x := w.fleet.Agent(c.Agent)
	if x == nil {
		return diag.Errorf("there is no agent %q", c.Agent)
	}
	a.warn(w.warnings)
	var s *spec.Spec
	if len(w.specs) > 0 {
		s = w.specs[0]
	}
	fields := effective(x, s, a.style(a.stdout))
	all, err := (&planning{compiled: w, app: a, want: []string{c.Agent}}).allApproved(w.options.Now)
	if err != nil {
		return err
	}
	for _, y := range all {
		fields = append(fields, field{"approved." + y.Bottle, y.Text, view.ApprovedWhen(y, w.options.Now)})
	}
	if c.JSON {
		return a.printJSON(fields)
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 8, 3, ' ', 0)
	for _, f := range fields {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", view.Escape(f.Path), view.Escape(f.Value), view.Escape(f.From))
	}
	return tw.Flush()
}

// fields collects what is in force.
type fields struct {
	list  []field
	agent *manifest.Agent
}

func (f *fields) add(path, value, from string) { f.list = append(f.list, field{path, value, from}) }

// of adds a value that the bottle, or else a default, decides.
func (f *fields) of(path, value string) { f.add(path, value, where(f.agent.Bottle.From, path)) }

func (f *fields) own(path, value string) { f.add(path, value, where(f.agent.From, path)) }

// where is the line that declared path, or "default" where none did.
func where(from map[string]manifest.Pos, path string) string {
	if at, ok := from[path]; ok {
		return fmt.Sprintf("%s:%d", at.File, at.Line)
	}
	return "default"
}

func effective(x *manifest.Agent, s *spec.Spec, st view.Style) []field {
	f := &fields{agent: x}
	b := x.Bottle
	f.add("agent", x.Name, st.Path(x.File))
	f.add("bottle", strings.Join(b.Lineage, " <- "), where(x.From, "bottle"))
	f.own("replicas", strconv.Itoa(x.Replicas))
	for i, name := range x.Skills {
		f.own(fmt.Sprintf("skills[%d]", i), name)
	}
	if x.Prompt != "" {
		first, _, more := strings.Cut(x.Prompt, "\n")
		if more {
			first += " ..."
		}
		f.own("prompt", first)
	}
	f.of("agent_provider.template", templateText(b.Provider))
	f.optional("agent_provider.auth_token", b.Provider.AuthToken)
	if b.Provider.ForwardHostCredentials {
		f.of("agent_provider.forward_host_credentials", "true")
	}
	f.optional("agent_provider.image", b.Provider.Image)
	f.optional("agent_provider.dockerfile", b.Provider.Dockerfile)
	for _, e := range b.Env {
		f.of("env."+e.Name, envText(e))
	}
	f.identity("git_user.name", x.GitUser.Name, x.GitUser.NameFrom)
	f.identity("git_user.email", x.GitUser.Email, x.GitUser.EmailFrom)
	for _, r := range b.Remotes {
		f.remote(r)
	}
	f.optional("egress.network", b.Egress.Network)
	if b.Egress.Pipelock {
		f.of("egress.pipelock", "true")
	}
	f.optional("egress.upstream_ca", b.Egress.UpstreamCA)
	if s != nil {
		f.optional("egress.parent", plan.DescribeParent(s.Live.Parent, s.Live.Tokens))
		for _, r := range s.Live.Routes {
			f.add("egress.routes", view.RouteWhole(r, s.Live.Tokens), r.Source)
		}
		for _, l := range s.Logins {
			f.add("login", "until "+l.Expires.Local().Format("2006-01-02 15:04"), st.Path(l.From))
		}
		f.of("backend", s.Backend)
		f.of("resources.cpus", fmt.Sprint(s.Fixed.Resources.CPUs))
		f.of("resources.memory", plan.Bytes(s.Fixed.Resources.Memory))
		f.of("resources.pids", fmt.Sprint(s.Fixed.Resources.PIDs))
	}
	f.of("supervise", strconv.FormatBool(b.Supervise))
	f.of("workspace.mode", b.Workspace.Mode)
	if s != nil && s.Fixed.Workspace.Declared() {
		f.workspace(s)
	}
	return f.list
}

// remote says where the credential is and what is pinned, which a plan leaves
// out. What its map does not say is a default.
func (f *fields) remote(r manifest.Remote) {
	path := "git.remotes." + r.Name
	f.of(path+".upstream", r.Upstream)
	f.optional(path+".identity_file", r.IdentityFile)
	f.optional(path+".known_host_key", r.KnownHostKey)
	if r.TokenRef != "" {
		f.of(path+".token_ref", egress.ParseRef(r.TokenRef).String())
	}
	f.of(path+".push", plan.DescribePush(r.Push))
	if !r.Push.Off {
		f.of(path+".push.protect", plan.DescribeProtect(r.Push))
	}
}

func (f *fields) workspace(s *spec.Spec) {
	w := s.Fixed.Workspace
	switch {
	case w.Path != "":
		f.of("workspace.path", w.Path)
	case s.WorkspaceRoot != "":
		f.add("workspace.path", s.WorkspaceRoot, "the repository")
	}
	f.of("workspace.guest_path", w.GuestPath)
}

func (f *fields) optional(path, value string) {
	if value != "" {
		f.of(path, value)
	}
}

func (f *fields) identity(path, value, from string) {
	switch from {
	case "agent":
		f.add(path, value, "agent "+where(f.agent.From, path))
	case "bottle":
		f.add(path, value, "bottle "+where(f.agent.Bottle.From, path))
	}
}

// templateText names the provider, and the file of one that is the user's own.
func templateText(p manifest.ProviderDecl) string {
	if p.Custom == nil {
		return p.Template
	}
	return fmt.Sprintf("%s (providers/%s/%s)", p.Template, p.Template, filepath.Base(p.Custom.File))
}

// envText says where a value comes from; a literal is the manifest's own text.
func envText(e manifest.EnvVar) string {
	switch e.Kind {
	case manifest.EnvHost:
		return "from $" + e.Value + " of the host"
	case manifest.EnvAsk:
		return "asked at apply"
	}
	return e.Value
}
