// Package compile pairs each agent with its bottle and its provider and makes
// the specs: the desired state, driver-neutral and free of secret values.
package compile

import (
	"path/filepath"
	"slices"
	"strconv"

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
}

// Defaults for resources that a manifest does not name.
const (
	DefaultCPUs   = 2
	DefaultMemory = 4 << 30
	DefaultPIDs   = 512
)

// Compile returns one spec per replica, in the order of the agents, and every
// mistake.
func Compile(agents []*manifest.Agent, o Options) ([]*spec.Spec, diag.List) {
	var specs []*spec.Spec
	var problems diag.List
	for _, a := range agents {
		s, errs := one(a, o)
		problems = append(problems, errs...)
		if errs.HasErrors() {
			continue
		}
		for n := 1; n <= a.Replicas; n++ {
			r := *s
			r.ID.Replica = strconv.Itoa(n)
			specs = append(specs, &r)
		}
	}
	problems.Sort()
	return specs, problems
}

// AdHoc returns the spec of an instance beside the declared ones, also where
// an agent declares none.
func AdHoc(a *manifest.Agent, o Options, replica string) (*spec.Spec, diag.List) {
	s, problems := one(a, o)
	if s != nil {
		s.ID.Replica = replica
	}
	return s, problems
}

func one(a *manifest.Agent, o Options) (*spec.Spec, diag.List) {
	b := a.Bottle
	c := &compiler{agent: a, bottle: b, options: o}
	workspace, root := c.workspace()
	prov, err := provider.For(b.Provider.Template, provider.Input{
		AuthToken: b.Provider.AuthToken, HasPrompt: a.Prompt != "", Workdir: workspace.Workdir(),
	})
	if err != nil {
		c.problem(b.Provider.From, err)
		return nil, c.problems
	}
	s := &spec.Spec{
		ID:      spec.ID{Scope: o.Scopes[a.Scope], Agent: a.Name, Replica: "1"},
		Backend: c.backend(),
		Source:  spec.Source{AgentFile: a.File, BottleFile: b.File, Bottle: b.Name, Lineage: b.Lineage},
		Image:   c.image(prov),
		Gate:    spec.Gate{Network: b.Egress.Network},
		Program: prov.Program, HiddenEnv: prov.HiddenEnv, WorkspaceRoot: root,
	}
	s.Live = c.live(prov)
	s.Files = c.files(prov, s)
	s.Fixed = spec.Fixed{
		Backend: s.Backend, Provider: b.Provider.Template, Env: c.env(prov),
		Resources: c.resources(), Supervise: b.Supervise,
		Workspace: workspace,
		Files:     spec.FilesDigest(s.Files),
	}
	return s, c.problems
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
		c.problem(c.bottle.Egress.From, err)
	}
	routes, refs := egress.Slots(merged)
	l := spec.Live{
		Routes: routes, Tokens: map[string]string{}, Prompt: c.agent.Prompt,
		GitUser: spec.GitUser(c.agent.GitUser),
	}
	for _, r := range refs {
		l.Tokens[r.Slot] = r.Ref
	}
	if file := c.bottle.Egress.UpstreamCA; file != "" {
		l.UpstreamCA, err = certificates(file)
		if err != nil {
			c.problem(c.bottle.Egress.From, diag.Errorf("egress.upstream_ca: %v", err).
				WithHint("name a PEM file with the roots that the outside leg should trust"))
		}
	}
	return l
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
			Path: spec.PromptFile, Mode: 0o644, Content: []byte(c.agent.Prompt + "\n"), Part: spec.PartPrompt,
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
		s.Live.Skills = append(s.Live.Skills, spec.Skill{Name: name, Digest: skillDigest(skill)})
	}
	return files
}

func skillDigest(files []spec.File) string {
	plain := slices.Clone(files)
	for i := range plain {
		plain[i].Part = ""
	}
	return spec.FilesDigest(plain)
}

func orDefault(s, def string) string {
	if s != "" {
		return s
	}
	return def
}
