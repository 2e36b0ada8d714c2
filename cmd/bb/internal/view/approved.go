package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/spec"
)

// Approved lists the routes that people approved beside the manifests: they are
// wanted, and so no change, and nobody should forget them.
func Approved(w io.Writer, specs []*spec.Spec, st Style) error {
	var b strings.Builder
	for _, s := range specs {
		for _, r := range s.Live.Routes {
			if approval.Is(r) && !r.Expired(time.Now()) {
				fmt.Fprintf(&b, "    %s\n", Escape(fmt.Sprintf("%-14s %s", st.name(s.ID), Route(r, s.Live.Tokens))))
			}
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(w, "\nallowed beside the manifests (bb supervise revoke takes it back)\n\n"+b.String())
	return err
}
