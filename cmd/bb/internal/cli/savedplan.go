package cli

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/state"
)

// savedPlan is a plan as bb plan --out writes it. It holds no secret and gives
// no power: an apply makes its own plan and only compares.
type savedPlan struct {
	Version int    `json:"bb_plan"`
	Bb      string `json:"bb"`
	// Scopes and Agents say what was planned for.
	Scopes []string `json:"scopes"`
	Agents []string `json:"agents"`
	Prune  bool     `json:"prune"`
	// Workspace is the directory that --workspace named.
	Workspace string `json:"workspace,omitempty"`
	// Fingerprint identifies the plan and the world it was made from.
	Fingerprint string `json:"fingerprint"`
	// Plan is for readers.
	Plan plan.JSON `json:"plan"`
}

const savedPlanVersion = 1

var agentArgument = regexp.MustCompile(`^(home/)?[a-z][a-z0-9-]*$`)

// isPlanFile tells the name of a file from the name of an agent.
func isPlanFile(arg string) bool { return !agentArgument.MatchString(arg) }

// save writes the plan, whole or not at all.
func (p *planning) save(file string) error {
	b, err := json.MarshalIndent(savedPlan{
		Version: savedPlanVersion, Bb: Version, Scopes: p.scopes.all(), Agents: append([]string{}, p.want...),
		Prune: p.prune, Workspace: p.app.g.Workspace, Fingerprint: p.plan.Fingerprint(), Plan: p.plan.JSON(p.warnings),
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := state.WriteFile(file, append(b, '\n')); err != nil {
		return diag.Errorf("--out: %v", err).WithHint("name a file in a directory that you can write")
	}
	return nil
}

func readPlan(file string) (savedPlan, error) {
	var s savedPlan
	b, err := os.ReadFile(file)
	if err != nil {
		return s, diag.Errorf("%q is no agent's name, and as a saved plan: %v", file, err).
			WithHint("bb plan --out FILE writes one; bb list shows the agents")
	}
	if json.Unmarshal(b, &s) != nil || s.Version != savedPlanVersion {
		return s, diag.Errorf("%s is not a plan that this bb can read", file).WithHint("write it anew with bb plan --out FILE")
	}
	return s, nil
}

// holds refuses a plan that bb would not make any more.
func (s savedPlan) holds(p *planning) error {
	again := "look and plan again: bb plan --out FILE"
	switch {
	case !slices.Equal(s.Scopes, p.scopes.all()):
		return diag.Errorf("the saved plan is for another home directory or repository").
			WithHint("run it where it was made")
	case s.Bb != Version:
		return diag.Errorf("the saved plan was made by bb %s, this is %s", s.Bb, Version).WithHint("%s", again)
	case s.Fingerprint != p.plan.Fingerprint():
		return diag.Errorf("the saved plan is stale: manifests or bottles changed since").WithHint("%s", again)
	}
	return nil
}
