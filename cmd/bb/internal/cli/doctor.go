package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/hostside"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/compile"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/host"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

type doctorCmd struct {
	JSON bool `help:"Print as JSON."`
}

// examination is the answer of bb doctor.
type examination struct {
	FormatVersion string                  `json:"format_version"`
	Findings      []backends.Finding      `json:"findings"`
	Summary       map[backends.Status]int `json:"summary"`
}

// Run examines everything it can reach; nothing that is wrong keeps it from
// the next check. It writes nothing.
func (c *doctorCmd) Run(ctx context.Context, a *app) error {
	x := &examination{FormatVersion: "1", Summary: map[backends.Status]int{
		backends.StatusOK: 0, backends.StatusWarn: 0, backends.StatusFail: 0,
	}}
	st := x.home(a)
	desire := x.manifests(a)
	x.values(desire)
	x.engines(ctx, a, st, desire.Specs)
	x.buildCA(a)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := x.print(a, c.JSON); err != nil {
		return err
	}
	if x.Summary[backends.StatusFail] > 0 {
		return exitError{code: exitFailed}
	}
	return nil
}

func (x *examination) print(a *app, asJSON bool) error {
	for _, f := range x.Findings {
		x.Summary[f.Status]++
	}
	if asJSON {
		return a.printJSON(x)
	}
	for _, f := range x.Findings {
		hint := ""
		if f.Hint != "" {
			hint = " (" + f.Hint + ")"
		}
		if _, err := fmt.Fprintf(a.stdout, "%-4s  %-21s  %s\n", f.Status, f.Check, view.Escape(f.Message+hint)); err != nil {
			return err
		}
	}
	return nil
}

func (x *examination) add(check string, status backends.Status, hint, format string, args ...any) {
	x.Findings = append(x.Findings, backends.Finding{Check: check, Status: status, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// fail adds an error with its hint.
func (x *examination) fail(check string, err error) {
	for _, d := range flatten(err) {
		hint := d.Hint
		d.Hint = ""
		x.add(check, backends.StatusFail, hint, "%s", d.Error())
	}
}

// home examines the directory and what bb keeps in it. Whoever can write
// manifests decides what bottles may do; whoever reads the key can tell which
// secrets are in use.
func (x *examination) home(a *app) *state.State {
	if err := a.homeExists(); err != nil {
		x.fail("home", err)
		return &state.State{}
	}
	shown := a.style(a.stdout).Path
	sound := true
	for _, dir := range []string{"", "bottles", "agents"} {
		path := filepath.Join(a.g.Home, dir)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o022 == 0 {
			continue
		}
		sound = false
		who, status := "others", backends.StatusFail
		if info.Mode().Perm()&0o002 == 0 { // of which you may be the only one
			who, status = "its group", backends.StatusWarn
		}
		x.add("home", status, "chmod go-w "+shown(path), "%s can be written by %s: whoever writes manifests decides what bottles may do", shown(path), who)
	}
	if sound {
		x.add("home", backends.StatusOK, "", "%s", shown(a.g.Home))
	}
	return x.state(filepath.Join(a.g.Home, "state"), a, shown)
}

func (x *examination) state(dir string, a *app, shown func(string) string) *state.State {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		x.add("state", backends.StatusOK, "", "%s is made by the first apply", shown(dir))
		st, err := state.Read(a.g.Home)
		if err != nil {
			x.fail("state", err)
			return &state.State{}
		}
		return st
	}
	sound := true
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		if e.IsDir() && path == filepath.Join(dir, "smolvm") && info.Mode().Perm()&0o077 == 0 {
			return filepath.SkipDir // its sockets and programs are lent to machines
		}
		if info.Mode().Perm()&0o077 != 0 {
			sound = false
			want := "600"
			if e.IsDir() {
				want = "700"
			}
			x.add("state", backends.StatusFail, "chmod "+want+" "+shown(path), "%s is open to others (%04o)", shown(path), info.Mode().Perm())
		}
		return nil
	})
	st, readErr := state.Read(a.g.Home)
	if err = errors.Join(err, readErr); err != nil {
		x.fail("state", err)
		return &state.State{Dir: dir}
	}
	if sound {
		x.add("state", backends.StatusOK, "", "%s is for you only", shown(dir))
	}
	return st
}

// manifests compiles all; the mistakes themselves are validate's to show.
func (x *examination) manifests(a *app) compile.Result {
	if a.homeExists() != nil {
		return compile.Result{}
	}
	c, err := a.compile(nil, state.Read)
	var mistakes diag.List
	switch {
	case errors.As(err, &mistakes):
		x.add("manifests", backends.StatusFail, "bb validate shows them", "%s", count(len(mistakes), "mistake"))
		return compile.Result{}
	case err != nil:
		x.fail("manifests", err)
		return compile.Result{}
	case len(c.warnings) > 0:
		x.add("manifests", backends.StatusWarn, "bb validate shows them", "%s", count(len(c.warnings), "warning"))
	default:
		x.add("manifests", backends.StatusOK, "", "%s, %s", count(len(c.fleet.Agents), "agent"), count(len(c.fleet.Bottles), "bottle"))
	}
	return c.desire
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// values names what manifests want of the host and cannot have: variables,
// files, programs, logins. It runs nothing and prints no value.
func (x *examination) values(desire compile.Result) {
	wanted, missing := map[string]bool{}, map[string]map[string]bool{}
	hints := map[string]string{}
	miss := func(text, hint, agent string) {
		if missing[text] == nil {
			missing[text] = map[string]bool{}
		}
		missing[text][agent], hints[text] = true, hint
	}
	var known host.Values
	for _, s := range desire.Specs {
		for slot, ref := range s.Live.Tokens {
			if _, own := desire.Values[s.ID.Name()][ref]; own || len(desire.Stops[s.ID.Name()]) > 0 {
				continue // the provider's login, which stops say more about
			}
			wanted[ref] = true
			_, err := egress.ResolveTokens([]egress.SlotRef{{Slot: slot, Ref: ref}}, known.Known)
			for _, e := range unjoin(err) {
				if !errors.Is(e, host.ErrNotRun) {
					d := tokenProblem("", e)
					miss(strings.TrimPrefix(strings.TrimPrefix(d.Message, ": "), "token "), d.Hint, s.ID.Agent)
				}
			}
		}
		for _, e := range s.Fixed.Env {
			if e.Kind != spec.EnvHost {
				continue
			}
			wanted[e.Value] = true
			if v, err := host.Variable(e.Value); err != nil || v == "" {
				miss(e.Value+" is not set", "export it, then run bb again", s.ID.Agent)
			}
		}
		for _, d := range desire.Stops[s.ID.Name()] {
			_, text, _ := strings.Cut(d.Message, ": ")
			miss(text, d.Hint, s.ID.Agent)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(missing)) {
		agents := slices.Sorted(maps.Keys(missing[text]))
		x.add("values", backends.StatusWarn, hints[text], "%s; wanted by %s", text, strings.Join(agents, ", "))
	}
	if len(missing) == 0 && len(wanted) > 0 {
		x.add("values", backends.StatusOK, "", "%s of the host wanted, all there", count(len(wanted), "value"))
	}
}

// lacks names the agents that a driver cannot run on this machine as it is.
func lacks(ctx context.Context, d backends.Driver, backend string, specs []*spec.Spec) []string {
	p, ok := d.(backends.Preflighter)
	if !ok {
		return nil
	}
	names := map[string]bool{}
	for _, s := range specs {
		if s.Backend == backend && p.Preflight(ctx, s) != nil {
			names[s.ID.Agent] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// engines lets every driver in use examine its own.
func (x *examination) engines(ctx context.Context, a *app, st *state.State, specs []*spec.Spec) {
	for _, name := range a.backendNames(st, specs) {
		d, err := a.driver(name, st)
		if err != nil {
			x.fail(name+".engine", err)
			continue
		}
		doctor, ok := d.(backends.Doctor)
		if !ok {
			if err := d.Check(ctx); err != nil {
				x.fail(name+".engine", err)
			} else {
				x.add(name+".engine", backends.StatusOK, "", "it answers")
			}
			continue
		}
		lacking := lacks(ctx, d, name, specs)
		for _, f := range doctor.Doctor(ctx) {
			if f.Check == "pipelock" && len(lacking) > 0 {
				f.Status, f.Message = backends.StatusWarn, f.Message+"; wanted by "+strings.Join(lacking, ", ")
			}
			f.Check = name + "." + f.Check
			x.Findings = append(x.Findings, f)
		}
		if name == "smolvm" {
			x.sidecars()
		}
	}
}

// sidecars of machines are processes of this one.
func (x *examination) sidecars() {
	if lacks := hostside.Unconfined(); lacks != "" {
		x.add("smolvm.sidecars", backends.StatusWarn, "docs/security.md says what that means", "%s", lacks)
		return
	}
	if sockets := hostside.Reach(); len(sockets) > 0 {
		x.add("smolvm.sidecars", backends.StatusWarn, "docs/security.md says what that means",
			"sidecars are confined to their own directory, but run as you: one that was taken over could connect to %s", strings.Join(sockets, ", "))
		return
	}
	x.add("smolvm.sidecars", backends.StatusOK, "", "sidecars are confined to their own directory")
}

// buildCA is about networks that inspect TLS: there this machine trusts a root
// that a build inside the engine does not know.
func (x *examination) buildCA(a *app) {
	own := os.Getenv("SSL_CERT_FILE")
	switch {
	case a.g.BuildCA != "":
		if _, err := os.Stat(a.g.BuildCA); err == nil { // else the driver has said so
			x.add("build_ca", backends.StatusOK, "", "image builds trust %s", a.g.BuildCA)
		}
	case own != "":
		x.add("build_ca", backends.StatusWarn, "if the network inspects TLS, set BB_BUILD_CA="+own,
			"this machine trusts SSL_CERT_FILE, image builds do not")
	}
}
