// Command alone is the fake smolvm as a program of its own, for tests whose own
// binary is slow to start.
package main

import (
	"os"

	"github.com/bot-bottle/bb/hack/fakesmol"
)

func main() {
	fakesmol.Main()
	os.Exit(2) // by another name it is nothing
}
