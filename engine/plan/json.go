package plan

import (
	"cmp"
	"time"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// FormatVersion is the version of the JSON form.
const FormatVersion = "1"

// JSON is the machine form of a plan. Text is rendered from the same plan.
type JSON struct {
	FormatVersion string       `json:"format_version"`
	Drift         []JSONDrift  `json:"drift"`
	Changes       []JSONChange `json:"changes"`
	Approved      []Approved   `json:"approved"`
	Summary       Summary      `json:"summary"`
	Diagnostics   diag.List    `json:"diagnostics"`
}

// Approved is one thing that a person approved beside the manifests, of one
// instance. It is wanted, and so no change.
type Approved struct {
	ID     spec.ID `json:"-"`
	Bottle string  `json:"id"`
	// Kind is "route", or "value" for one that may pass in spite of a detector.
	Kind string `json:"kind"`
	// Text says what, for people.
	Text     string    `json:"text"`
	Proposal string    `json:"proposal"`
	By       string    `json:"by"`
	Why      string    `json:"why,omitempty"`
	At       time.Time `json:"at"`
	// Until is when it ends; zero means never.
	Until time.Time `json:"until,omitzero"`
	// LeftOut says why it is not in force.
	LeftOut string `json:"left_out,omitempty"`
}

// JSONChange is one change. Unchanged instances are only counted.
type JSONChange struct {
	ID      string      `json:"id"`
	Backend string      `json:"backend"`
	Actions []string    `json:"actions"`
	Reasons []Reason    `json:"reasons"`
	Diff    []FieldDiff `json:"diff"`
	Note    string      `json:"note,omitempty"`
	// Kept marks a removal that waits for --prune.
	Kept bool `json:"kept,omitempty"`
	// Sessions counts the commands in the agent that the change would end.
	Sessions int `json:"sessions,omitempty"`
}

// JSONDrift is one thing that changed behind bb's back.
type JSONDrift struct {
	ID      string    `json:"id"`
	Backend string    `json:"backend"`
	Kind    DriftKind `json:"kind"`
	Text    string    `json:"text"`
	// Actions are what apply does about it.
	Actions []string `json:"actions"`
}

// Summary counts changes by action. A start is counted as an update.
type Summary struct {
	Create  int `json:"create"`
	Update  int `json:"update"`
	Replace int `json:"replace"`
	Remove  int `json:"remove"`
	Stop    int `json:"stop,omitempty"`
	Blocked int `json:"blocked"`
	// Kept counts removals that wait for --prune.
	Kept      int `json:"kept"`
	Unchanged int `json:"unchanged"`
	// Failed counts changes that an apply began and could not finish.
	Failed int `json:"failed,omitempty"`
}

// Summary counts the plan's changes.
func (p *Plan) Summary() Summary {
	kept := 0
	for _, c := range p.Changes {
		if c.Kept {
			kept++
		}
	}
	return Summary{
		Create: p.Count(Create), Update: p.Count(Update, Start), Replace: p.Count(Replace),
		Remove: p.Count(Remove) - kept, Stop: p.Count(Stop), Blocked: p.Count(Blocked), Kept: kept, Unchanged: p.Unchanged,
	}
}

// JSON returns the machine form; notes are joined with more diagnostics.
func (p *Plan) JSON(more diag.List) JSON {
	j := JSON{
		FormatVersion: FormatVersion, Drift: []JSONDrift{}, Changes: []JSONChange{}, Summary: p.Summary(),
		Approved:    append([]Approved{}, p.Approved...),
		Diagnostics: append(append(diag.List{}, more...), p.Notes...),
	}
	for _, d := range p.Drift {
		j.Drift = append(j.Drift, JSONDrift{d.ID.String(), d.Backend, d.Kind, d.Text, d.Then.Words()})
	}
	for _, c := range p.Changes {
		j.Changes = append(j.Changes, JSONChange{
			ID: c.ID.String(), Backend: c.Backend, Actions: c.Action.Words(),
			Reasons: c.Reasons, Diff: append([]FieldDiff{}, c.Diff...), Note: c.Note, Kept: c.Kept, Sessions: c.Sessions,
		})
	}
	return j
}

// String is the graph of nodes, for engine tests and debugging:
// "[1 2] -> #3 docker reviewer create_agent, not_found".
func (p *Plan) String() string {
	var out string
	for _, n := range p.Nodes {
		out += n.String() + "\n"
	}
	return out
}

func (n Node) subject() string {
	if n.Op == OpPrepare {
		return "*"
	}
	if n.Op == OpEnsureImage {
		return cmp.Or(n.Spec.Image.Name, n.Spec.Image.Ref)
	}
	return n.Instance.String()
}
