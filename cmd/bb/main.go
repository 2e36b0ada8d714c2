// Command bb runs coding agents in bottles: see README.md.
package main

import (
	"os"

	"github.com/bot-bottle/bb/cmd/bb/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
