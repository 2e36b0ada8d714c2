// Command standin speaks the surface of pipelock that bb uses, for tests:
// --version, check and run, a configuration that is read strictly, a forward
// proxy that intercepts, passes through, scans and denies with the same texts.
// It shares nothing with pipelock but what can be seen from outside.
package main

import (
	"fmt"
	"os"
)

// Set when it is linked.
var (
	// version is what it calls itself.
	version = "2.3.0"
	// hostsFile lists "HOST:PORT ADDRESS:PORT" lines: where to dial instead.
	hostsFile string
	// dies makes run end at once.
	dies string
)

func main() { os.Exit(command(os.Args[1:])) }

func command(args []string) int {
	if len(args) == 1 && (args[0] == "--version" || args[0] == "version") {
		fmt.Println("pipelock version " + version)
		return 0
	}
	if len(args) != 3 || args[1] != "--config" || args[0] != "check" && args[0] != "run" {
		fmt.Fprintln(os.Stderr, "unknown command")
		return 2
	}
	c, err := load(args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "Config validation FAILED:", err)
		return 1
	}
	if args[0] == "check" {
		fmt.Println("Config validation: OK")
		return 0
	}
	if dies != "" {
		fmt.Fprintln(os.Stderr, "it dies, as it was linked to")
		return 3
	}
	if err := serve(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
