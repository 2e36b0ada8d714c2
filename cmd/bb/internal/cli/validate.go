package cli

import (
	"fmt"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/state"
)

type validateCmd struct {
	Agents []string `arg:"" optional:"" help:"Only what these agents use."`
	JSON   bool     `help:"Print the diagnostics as JSON."`
}

// Run compiles and reports. It needs no engine and writes nothing.
func (c *validateCmd) Run(a *app) error {
	compiled, err := a.compile(c.Agents, state.Read)
	var list diag.List
	if l, ok := err.(diag.List); ok { //nolint:errorlint // compile returns the bare list
		list, err = l, nil
	} else if d, ok := err.(diag.Diagnostic); ok { //nolint:errorlint // or one
		list, err = diag.List{d}, nil
	}
	if err != nil {
		return err
	}
	if compiled != nil {
		list = compiled.warnings
	}
	if c.JSON {
		if err := a.printJSON(append(diag.List{}, list...)); err != nil {
			return err
		}
	} else {
		a.warn(list)
	}
	if list.HasErrors() {
		return exitError{code: exitFailed}
	}
	if !c.JSON {
		_, err = fmt.Fprintf(a.stdout, "Valid: %s, %s.\n",
			count(len(wanted(compiled.fleet, c.Agents)), "agent"), count(len(compiled.fleet.Bottles), "bottle"))
	}
	return err
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(a *app) error {
	_, err := fmt.Fprintf(a.stdout, "bb %s\n", Version)
	return err
}
