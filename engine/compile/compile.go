// Package compile pairs each agent with its bottle and its provider and makes
// the specs: the desired state, driver-neutral and free of secret values.
package compile

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/manifest"
	"github.com/bot-bottle/bb/engine/provider"
	"github.com/bot-bottle/bb/engine/spec"
)

// Options are what the command line and the environment decide.
type Options struct {
	// Backend overrides every manifest; "" leaves it to them.
	Backend string
	// DefaultBackend is used where neither says.
	DefaultBackend string
	// BaseImage is the base of what bb builds.
	BaseImage string
	// Skills is the directory of skills on the host.
	Skills string
	// Workspace is the directory that the command names; it wins over bottles.
	Workspace string
	// Repo is the repository around the working directory, "" outside of one.
	Repo string
	// Hazards are what no workspace may hold.
	Hazards Hazards
	// Scopes maps a manifest scope to its id.
	Scopes map[manifest.Scope]string
	// Read answers what a provider asks of the host; nil answers nothing.
	Read func(provider.Ask) provider.Answer
	// Canary makes the canary of an instance, by its name; nil makes none.
	Canary func(instance string) string
	Now    time.Time
}

// Result is the desired state and what an apply needs besides.
type Result struct {
	// Specs has one for each replica, in the order of the agents.
	Specs []*spec.Spec
	// Values are the token values that providers bring, by instance name and
	// reference. They are secrets.
	Values map[string]map[string]string
	// Stops are problems that a plan notes and that stop an apply, by instance
	// name.
	Stops map[string]diag.List
}

// Defaults for resources that a manifest does not name.
const (
	DefaultCPUs   = 2
	DefaultMemory = 4 << 30
	DefaultPIDs   = 512
)

// Compile returns the desired state and every mistake.
func Compile(agents []*manifest.Agent, o Options) (Result, diag.List) {
	r := newResult()
	var problems diag.List
	for _, a := range agents {
		var replicas []string
		for n := 1; n <= a.Replicas; n++ {
			replicas = append(replicas, strconv.Itoa(n))
		}
		problems = append(problems, r.add(a, o, replicas...)...)
	}
	problems.Sort()
	return r, problems
}

func newResult() Result {
	return Result{Values: map[string]map[string]string{}, Stops: map[string]diag.List{}}
}

// AdHoc returns an instance beside the declared ones, also where an agent
// declares none.
func AdHoc(a *manifest.Agent, o Options, replica string) (Result, diag.List) {
	r := newResult()
	problems := r.add(a, o, replica)
	return r, problems
}

func (r *Result) add(a *manifest.Agent, o Options, replicas ...string) diag.List {
	c := &compiler{agent: a, bottle: a.Bottle, options: o}
	s, prov := c.one()
	if c.problems.HasErrors() || len(replicas) == 0 {
		return c.problems
	}
	var stops diag.List
	for _, d := range prov.Problems {
		d.Message = a.Name + ": " + d.Message
		stops = append(stops, d)
	}
	for _, replica := range replicas {
		x := *s
		x.ID.Replica = replica
		if o.Canary != nil {
			x.Canary = o.Canary(x.ID.Name())
			x.Fixed.Env = withCanary(s.Fixed.Env, x.Canary)
		}
		r.Specs = append(r.Specs, &x)
		r.Values[x.ID.Name()], r.Stops[x.ID.Name()] = prov.Values, stops
	}
	return c.problems
}

// one is the spec of an agent's first replica, and what its provider adds.
func (c *compiler) one() (*spec.Spec, provider.Provision) {
	a, b, o := c.agent, c.bottle, c.options
	workspace, root := c.workspace()
	prov := c.provide(workspace.Workdir())
	s := &spec.Spec{
		ID:      spec.ID{Scope: o.Scopes[a.Scope], Agent: a.Name, Replica: "1"},
		Backend: c.backend(),
		Source:  spec.Source{AgentFile: a.File, BottleFile: b.File, Bottle: b.Name, Lineage: b.Lineage},
		Image:   c.image(prov),
		Gate:    spec.Gate{Network: b.Egress.Network, Pipelock: b.Egress.Pipelock},
		Program: c.program(prov), HiddenEnv: prov.HiddenEnv, Logins: prov.Logins, WorkspaceRoot: root,
	}
	s.Live = c.live(prov)
	c.unasked(s)
	s.Files = c.files(prov, s)
	if s.Live.Login == "" {
		s.Live.Login = checks(s.Program.Verify)
	}
	if len(prov.Problems) > 0 {
		s.Live.Unknown = append(s.Live.Unknown, spec.PartLogin)
	}
	s.Fixed = spec.Fixed{
		Backend: s.Backend, Provider: b.Provider.Template, Env: c.env(prov),
		Resources: c.resources(), Supervise: b.Supervise,
		Workspace: workspace,
		Files:     spec.FilesDigest(s.Files, ""),
	}
	return s, prov
}

// unasked warns of routes that want a person asked where nobody is.
func (c *compiler) unasked(s *spec.Spec) {
	for _, r := range s.Live.Routes {
		if !c.bottle.Supervise && r.DLP != nil && r.DLP.OnMatch == egress.OnMatchSupervise {
			d := diag.Errorf("route %s of %s: nobody is asked about what looks like a credential: it is blocked", r.Host, c.agent.Name).
				WithHint("add supervise: true to bottle %s", c.bottle.Name)
			d.Severity = diag.Warning
			c.problem(manifest.Pos{File: c.bottle.File, Line: 1}, d)
		}
	}
}

// checks is the digest of commands that a provider verifies a bottle with where
// no file of a login comes with them, or "": other commands are run anew.
func checks(verify [][]string) string {
	if len(verify) == 0 {
		return ""
	}
	b, err := json.Marshal(verify)
	if err != nil {
		panic("compile: " + err.Error()) // only plain data reaches this
	}
	return spec.FilesDigest([]spec.File{{Content: b, Part: spec.PartLogin}}, spec.PartLogin)
}

// provide asks the provider, with what it wants to know of the host.
func (c *compiler) provide(workdir string) provider.Provision {
	d := c.bottle.Provider
	t, ok := provider.Builtin(d.Template)
	if d.Custom != nil {
		t, ok = d.Custom.Template(), true
	}
	if !ok {
		c.problem(d.From, diag.Errorf("there is no provider %q", d.Template).WithHint("there are %v", provider.Names()))
		return provider.Provision{}
	}
	in := provider.Input{
		AuthToken: d.AuthToken, Forward: d.ForwardHostCredentials, Supervise: c.bottle.Supervise, Now: c.options.Now, Workdir: workdir,
		Answers: map[string]provider.Answer{},
	}
	for _, ask := range t.Wants(in) {
		if c.options.Read != nil {
			in.Answers[ask.Name] = c.options.Read(ask)
		}
	}
	return t.Provide(in)
}

func (c *compiler) program(p provider.Provision) spec.Program {
	if c.agent.Prompt == "" {
		return p.Program
	}
	return provider.With(p.Program, p.Prompted)
}

// compiler collects the mistakes of one agent.
type compiler struct {
	agent    *manifest.Agent
	bottle   *manifest.Bottle
	options  Options
	problems diag.List
}

func (c *compiler) problem(at manifest.Pos, err error) {
	d, ok := err.(diag.Diagnostic) //nolint:errorlint // only a bare one can be placed
	if !ok {
		d = diag.Errorf("%v", err)
	}
	if d.File == "" {
		d.File, d.Line = at.File, at.Line
	}
	c.problems = append(c.problems, d)
}

func (c *compiler) backend() string {
	return orDefault(c.options.Backend, orDefault(c.bottle.Backend, c.options.DefaultBackend))
}

func (c *compiler) image(p provider.Provision) spec.Image {
	d := c.bottle.Provider
	switch {
	case d.Image != "":
		return spec.Image{Name: c.bottle.Name, Ref: d.Image}
	case d.Dockerfile == "" && p.Dockerfile != "":
		if err := readable(p.Dockerfile); err != nil {
			c.problem(d.From, diag.Errorf("provider %s: %v", d.Template, err).
				WithHint("put a Dockerfile beside its provider.cue, or name agent_provider.image"))
		}
		return spec.Image{Name: d.Template, Dockerfile: p.Dockerfile, Base: c.options.BaseImage}
	case d.Dockerfile != "":
		if err := readable(d.Dockerfile); err != nil {
			c.problem(d.From, diag.Errorf("agent_provider.dockerfile: %v", err).
				WithHint("paths are relative to the manifest's directory"))
		}
		return spec.Image{Name: c.bottle.Name, Dockerfile: d.Dockerfile, Base: c.options.BaseImage}
	}
	return spec.Image{Name: d.Template, Recipe: p.Recipe, Base: c.options.BaseImage}
}

func (c *compiler) live(p provider.Provision) spec.Live {
	merged, err := egress.Merge(c.bottle.Egress.Routes, p.Routes)
	if err != nil {
		c.problem(c.bottle.Egress.From, placed(err, c.bottle.Egress.Routes, p))
	}
	routes, refs := egress.Slots(merged)
	l := spec.Live{
		Routes: routes, Tokens: map[string]string{}, Prompt: c.agent.Prompt,
		GitUser: spec.GitUser(c.agent.GitUser),
	}
	if e := c.bottle.Egress; e.ParentURL != "" {
		l.Parent = &egress.Parent{URL: e.ParentURL}
		if e.ParentRef != "" {
			l.Parent.Slot, refs = egress.SlotOf(refs, e.ParentRef)
		}
	}
	for _, r := range refs {
		l.Tokens[r.Slot] = r.Ref
	}
	l.Remotes = remotes(c.bottle.Remotes, l.Tokens)
	if file := c.bottle.Egress.UpstreamCA; file != "" {
		l.UpstreamCA, err = certificates(file)
		if err != nil {
			c.problem(c.bottle.Egress.From, diag.Errorf("egress.upstream_ca: %v", err).
				WithHint("name a PEM file with the roots that the outside leg should trust"))
		}
	}
	return l
}

// placed says an error of the merge again with the places of the provider's
// routes, where a file declares them.
func placed(err error, manifest []egress.Route, p provider.Provision) error {
	if len(p.Places) != len(p.Routes) {
		return err
	}
	routes := egress.CloneRoutes(p.Routes)
	for i := range routes {
		routes[i].Source += " " + p.Places[i]
	}
	if _, again := egress.Merge(manifest, routes); again != nil {
		return again
	}
	return err
}

func (c *compiler) resources() spec.Resources {
	r := spec.Resources(c.bottle.Resources)
	if r.CPUs == 0 {
		r.CPUs = DefaultCPUs
	}
	if r.Memory == 0 {
		r.Memory = DefaultMemory
	}
	if r.PIDs == 0 {
		r.PIDs = DefaultPIDs
	}
	return r
}

// files lists everything placed in the bottle: the provider's, the prompt and
// the skills, whose digests go into the live half on the way.
func (c *compiler) files(p provider.Provision, s *spec.Spec) []spec.File {
	files := slices.Clone(p.Files)
	if c.agent.Prompt != "" {
		files = append(files, spec.File{
			Path: p.PromptFile, Mode: 0o644, Content: []byte(c.agent.Prompt + "\n"), Part: spec.PartPrompt,
		})
	}
	for _, name := range c.agent.Skills {
		skill, err := readSkill(filepath.Join(c.options.Skills, name), p.SkillsDir+"/"+name)
		if err != nil {
			c.problem(manifest.Pos{File: manifest.ShownPath(c.agent.File)}, diag.Errorf("skill %q: %v", name, err).
				WithHint("skills are directories in %s", c.options.Skills))
			continue
		}
		files = append(files, skill...)
		s.Live.Skills = append(s.Live.Skills, spec.Skill{Name: name, Digest: spec.FilesDigest(skill, spec.PartSkills)})
	}
	for _, f := range files {
		if f.Part == spec.PartLogin {
			s.Live.Login = spec.FilesDigest(files, spec.PartLogin)
		}
	}
	return files
}

func orDefault(s, def string) string {
	if s != "" {
		return s
	}
	return def
}
