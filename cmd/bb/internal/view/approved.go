package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bot-bottle/bb/engine/plan"
)

// Approved lists what people approved beside the manifests: it is wanted, and so
// no change, and nobody should forget it.
func Approved(w io.Writer, all []plan.Approved, st Style) error {
	if len(all) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("\nallowed beside the manifests (bb supervise revoke takes it back)\n\n")
	for _, x := range all {
		fmt.Fprintf(&b, "    %s\n", Escape(st.Approved(x, time.Now())))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Approved is one thing that was approved, on one line that is not escaped.
func (st Style) Approved(x plan.Approved, now time.Time) string {
	return fmt.Sprintf("%-14s %s  (%s)", st.name(x.ID), x.Text, ApprovedWhen(x, now))
}

// ApprovedWhen says when something was approved, until when, and by whom.
func ApprovedWhen(x plan.Approved, now time.Time) string {
	text := "approved " + When(x.At, now)
	if !x.Until.IsZero() {
		text += ", expires " + When(x.Until, now)
	}
	text += ", by " + x.By
	if x.LeftOut != "" {
		text += "; " + x.LeftOut
	}
	return text
}

// When is a time of day, with the date where that is not today's.
func When(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}
