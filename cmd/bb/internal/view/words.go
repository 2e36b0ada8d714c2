package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// envNames lists the variables the manifest declares: not bb's own, and not
// those that the provider hides.
func envNames(s *spec.Spec) string {
	var names []string
	for _, e := range s.Fixed.Env {
		if e.Kind != spec.EnvBB && e.Kind != spec.EnvProvider && !slices.Contains(s.HiddenEnv, e.Name) {
			names = append(names, e.Name)
		}
	}
	return strings.Join(names, ", ")
}

func skillNames(s *spec.Spec) []string {
	names := make([]string, len(s.Live.Skills))
	for i, k := range s.Live.Skills {
		names[i] = k.Name
	}
	return names
}

// identity is `name "A B" (agent), email a@example.com (bottle)`.
func identity(g spec.GitUser) string {
	var words []string
	if g.Name != "" {
		words = append(words, fmt.Sprintf("name %q (%s)", g.Name, g.NameFrom))
	}
	if g.Email != "" {
		words = append(words, fmt.Sprintf("email %s (%s)", g.Email, g.EmailFrom))
	}
	return strings.Join(words, ", ")
}

// Route is "host:port  attributes  (source)".
func Route(r egress.Route, refs map[string]string) string {
	words := []string{fmt.Sprintf("%s:%d", r.Host, r.Port)}
	if d := plan.Describe(r, refs); d != "" {
		words = append(words, d)
	}
	if r.TLSPassthrough && r.Auth == nil {
		words = append(words, "agent's own account")
	}
	return strings.Join(append(words, "("+r.Source+")"), "  ")
}

var colors = map[plan.Action]string{
	plan.Create: "32", plan.Start: "32", plan.Update: "33", plan.Replace: "33",
	plan.Remove: "31", plan.Stop: "33", plan.Blocked: "31",
}

func (st Style) paint(a plan.Action, text string) string {
	if !st.Color {
		return text
	}
	return "\x1b[" + colors[a] + "m" + text + "\x1b[0m"
}

// RouteWhole is Route without its source, and with what only those look for who
// want to know everything.
func RouteWhole(r egress.Route, refs map[string]string) string {
	text := strings.TrimSuffix(Route(r, refs), "  ("+r.Source+")")
	if r.DLP != nil && r.DLP.Patterns != "" {
		text += "  dlp patterns " + r.DLP.Patterns
	}
	return text
}

// Size shows a size roughly, with one decimal in the unit that fits.
func Size(n int64) string {
	size, unit := float64(n), 0
	for size >= 1024 && unit < 4 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", size, [...]string{"", "KiB", "MiB", "GiB", "TiB"}[unit])
}
