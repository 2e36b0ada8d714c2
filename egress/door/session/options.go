package session

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Options say how a command runs.
type Options struct {
	// Name is held by one session at a time; "" is no name.
	Name string
	// Terminal gives the command one: its TERM and first size.
	Terminal *Terminal
	// Bare leaves the bottle's stored environment out: for bb's own steps.
	Bare bool
	// Processes bounds those of the agent's user, threads counted, in the whole
	// bottle; 0 means that something else does.
	Processes uint64
}

// Terminal is the terminal that a command gets.
type Terminal struct {
	Type string
	Size Size
}

var (
	goodName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	goodType = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)
)

// fallbackType is used where a terminal says nothing sensible of itself.
const fallbackType = "xterm"

// Command is the command line of the supervisor for argv.
func Command(binary string, o Options, argv []string) []string {
	line := []string{binary, "door", "session"}
	if o.Name != "" {
		line = append(line, "--name", o.Name)
	}
	if o.Bare {
		line = append(line, "--bare")
	}
	if o.Processes > 0 {
		line = append(line, "--processes", strconv.FormatUint(o.Processes, 10))
	}
	if o.Terminal != nil {
		line = append(line, "--terminal", o.Terminal.String())
	}
	return append(append(line, "--"), argv...)
}

// String is the form of the command line: TYPE:ROWSxCOLS.
func (t Terminal) String() string {
	kind := t.Type
	if !goodType.MatchString(kind) {
		kind = fallbackType
	}
	return fmt.Sprintf("%s:%dx%d", kind, t.Size.Rows, t.Size.Cols)
}

// ParseTerminal reads that form; "" is no terminal.
func ParseTerminal(s string) (*Terminal, error) {
	if s == "" {
		return nil, nil
	}
	var t Terminal
	kind, size, _ := strings.Cut(s, ":")
	_, err := fmt.Sscanf(size, "%dx%d", &t.Size.Rows, &t.Size.Cols)
	t.Type = kind
	if err != nil || t.String() != s {
		return nil, fmt.Errorf("terminal %q is not TYPE:ROWSxCOLS", s)
	}
	return &t, nil
}

// CheckName refuses what cannot be the name of a session.
func CheckName(name string) error {
	if name != "" && !goodName.MatchString(name) {
		return fmt.Errorf("%q is no name for a session", name)
	}
	return nil
}
