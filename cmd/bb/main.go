// Command bb runs coding agents in bottles: see README.md.
package main

import (
	"os"

	"github.com/bot-bottle/bb/cmd/bb/internal/cli"
	"github.com/bot-bottle/bb/egress/gitgate"
)

func main() {
	if code, handled := gitgate.Child(os.Args); handled { // before anything reads arguments or the environment
		os.Exit(code)
	}
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
