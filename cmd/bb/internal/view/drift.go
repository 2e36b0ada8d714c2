package view

import (
	"fmt"
	"strings"

	"github.com/bot-bottle/bb/engine/plan"
)

// remedies say what apply does about a drift.
var remedies = map[plan.Action]string{
	plan.None:    "nothing more needs doing",
	plan.Create:  "apply creates it again",
	plan.Start:   "apply starts it",
	plan.Update:  "apply repairs it in place",
	plan.Replace: "apply replaces it",
	plan.Blocked: "apply leaves it alone",
}

// drift shows what changed behind bb's back, before what bb will do.
func (st Style) drift(b *strings.Builder, list []plan.Drift) {
	if len(list) == 0 {
		return
	}
	b.WriteString("not as bb made it\n\n")
	for _, d := range list {
		fmt.Fprintf(b, "    %s\n", Escape(fmt.Sprintf("%-14s %-9s %s (%s)", st.name(d.ID), d.Backend, d.Text, remedies[d.Then])))
	}
	b.WriteString("\n")
}
