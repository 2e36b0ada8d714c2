// Package quiet keeps the screen's library from asking the terminal for its
// colours when bb begins: every command would write to the terminal, and wait
// for an answer that not every terminal gives.
//
// The library does so in an init of its own. Packages are initialised by the
// order of their paths as soon as what they import is (the Go specification,
// program initialization), and this one needs only what that one needs too.
package quiet

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
