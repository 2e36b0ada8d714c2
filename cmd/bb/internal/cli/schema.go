package cli

import (
	"fmt"

	"github.com/bot-bottle/bb/cue/schema"
)

type schemaCmd struct {
	JSON bool `help:"Print JSON Schema, for editors."`
}

// Run prints the schema of manifests.
func (c *schemaCmd) Run(a *app) error {
	if !c.JSON {
		_, err := fmt.Fprint(a.stdout, schema.Source())
		return err
	}
	b, err := schema.JSON()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s\n", b)
	return err
}
