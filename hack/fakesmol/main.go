// Package fakesmol plays the smolvm command line for tests: its messages, JSON
// and exit codes, with its state under SMOLVM_DATA_DIR. A machine is a process
// in network, mount, pid, uts and ipc namespaces of its own, over a root
// directory, without any interface but loopback; sockets that are mounted into
// it are relayed as smolvm relays them. No kernel of its own: it proves nothing
// about the strength of a micro-VM.
//
// Commands that change nothing inside a machine work on every Unix; machines
// run on Linux, as root. A test binary plays it through Main, called first
// thing in TestMain, and finds itself again under the name smolvm.
package fakesmol

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Version that the fake says it is.
const Version = "1.9.2"

// The names under which the test binary runs as a part of the fake.
const (
	program = "smolvm"
	vmmName = "fakesmol-vmm"
	boxName = "fakesmol-box"
)

// A machine's first process dies with the thread that started it.
func init() {
	if name := filepath.Base(os.Args[0]); name == vmmName || name == boxName {
		runtime.LockOSThread()
	}
}

// Main plays the program that argv[0] names, and does not return then.
func Main() {
	switch filepath.Base(os.Args[0]) {
	case program:
		exit(Run(os.Args[1:]))
	case vmmName:
		exit(playVMM())
	case boxName:
		exit(playBox())
	}
}

// exit does not wait a second for race reports, as os.Exit does in a binary with
// the race detector: a test runs the fake a hundred times.
func exit(code int) { syscall.Exit(code) }

// Run is one run of smolvm; it returns the exit code.
func Run(args []string) int {
	err := dispatch(args)
	switch e := err.(type) { //nolint:errorlint // made here, never wrapped
	case nil:
		return 0
	case exitCode:
		return int(e)
	case usage:
		fmt.Fprintf(os.Stderr, "error: %s\n\nUsage: smolvm %s\n\nFor more information, try '--help'.\n", e.message, e.line)
		return 2
	default:
		fmt.Fprintf(os.Stderr, "Error: %v\n", err)
		return 1
	}
}

// exitCode ends the program without a message.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// usage is what the argument parser says.
type usage struct{ message, line string }

func (u usage) Error() string { return u.message }

func dispatch(args []string) error {
	top := usage{line: "[OPTIONS] <COMMAND>"}
	if len(args) == 0 {
		top.message = "'smolvm' requires a subcommand but one was not provided"
		return top
	}
	switch args[0] {
	case "--version", "-V":
		fmt.Println("smolvm " + Version)
		return nil
	case "machine", "vm":
		if len(args) < 2 {
			return usage{"'smolvm machine' requires a subcommand but one was not provided", "machine <COMMAND>"}
		}
	default:
		top.message = fmt.Sprintf("unrecognized subcommand '%s'", args[0])
		return top
	}
	verb := map[string]string{"rm": "delete", "list": "ls"}[args[1]]
	if verb == "" {
		verb = args[1]
	}
	c, ok := commands[verb]
	if !ok {
		return usage{fmt.Sprintf("unrecognized subcommand '%s'", args[1]), "machine <COMMAND>"}
	}
	p, err := c.parse(verb, args[2:])
	if err != nil || p == nil {
		return err
	}
	s, err := openState()
	if err != nil {
		return err
	}
	if err := s.faultBefore(verb); err != nil {
		return err
	}
	return c.do(s, p)
}

func fail(format string, a ...any) error { return fmt.Errorf(format, a...) }

func notFound(name string) error { return fail("vm not found: %s", name) }

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }
