package cli

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/bot-bottle/bb/engine/diag"
)

// Kind of a failure of smolvm itself.
type Kind string

// Kinds of failure.
const (
	NotFound     Kind = "not_found"
	Exists       Kind = "exists"
	NotRunning   Kind = "not_running"
	BadState     Kind = "bad_state"
	Silent       Kind = "unreachable" // the machine runs and does not answer
	Config       Kind = "config"
	MountFailed  Kind = "mount"
	Storage      Kind = "storage"
	Agent        Kind = "agent" // smolvm's own process in the machine, or the way to it
	NoKVM        Kind = "no_kvm"
	KVMDenied    Kind = "kvm_denied"
	NoHypervisor Kind = "no_hypervisor"
	Usage        Kind = "usage"     // smolvm does not know an argument
	Killed       Kind = "killed"    // exit 137: a signal, or no memory
	Truncated    Kind = "truncated" // the output is not whole
	Timeout      Kind = "timeout"
	Other        Kind = "other"
)

// Error is a failure of smolvm, not of a command in a machine.
type Error struct {
	Kind    Kind
	Op      string // "machine start"
	Machine string // "" where the call names none
	Code    int    // smolvm's exit code; -1 where it did not exit by itself
	Message string // smolvm's own words, printable, without "Error: "
	// Unsure is set where a command in the machine may have printed the
	// message, and may have had its effects.
	Unsure bool
}

func (e *Error) Error() string { return e.diagnostic().Error() }

// As lets errors.As find the diag.Diagnostic.
func (e *Error) As(target any) bool {
	d, ok := target.(*diag.Diagnostic)
	if ok {
		*d = e.diagnostic()
	}
	return ok
}

func (e *Error) diagnostic() diag.Diagnostic {
	what := "smolvm " + e.Op
	if e.Machine != "" {
		what += " of " + e.Machine
	}
	message := e.Message
	if message == "" {
		message = fmt.Sprintf("it ended with %d and said nothing", e.Code)
	}
	d := diag.Errorf("%s: %s", what, message)
	if hint := hints[e.Kind]; hint != "" {
		d = d.WithHint("%s", strings.ReplaceAll(hint, "NAME", e.Machine))
	}
	return d
}

var hints = map[Kind]string{
	NotFound:     "it is gone: bb apply makes it again",
	Exists:       "smolvm machine status --name NAME shows the one that is there",
	NotRunning:   "bb apply starts it",
	BadState:     "smolvm machine status --name NAME shows its state; bb apply repairs it",
	Silent:       "bb apply starts it again",
	MountFailed:  "look whether the path is there, and whether smolvm may mount it",
	Storage:      "look for free space below smolvm's data directory",
	Agent:        "bb doctor looks for what keeps machines from running",
	NoKVM:        "turn virtualisation on, or use backend: docker; bb doctor says more",
	KVMDenied:    "let your user open /dev/kvm (group kvm), then log in again",
	NoHypervisor: "smolvm needs KVM, or Apple's hypervisor: use backend: docker here",
	Usage:        "this smolvm takes other arguments than bb gives: bb doctor shows its version",
	Killed:       "something killed it, or memory ran out: look at resources.memory, then try again",
	Truncated:    "try again; if it stays, look for free memory and space",
	Timeout:      "machines start slowly where virtualisation is nested: try again, and see bb doctor",
}

var (
	escape = regexp.MustCompile(`\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)`)
	// formats are smolvm's ways to begin a message of its own.
	formats = []struct {
		prefix string
		kind   Kind
	}{
		{"vm not found: ", NotFound},
		{"vm creation failed: ", Other},
		{"invalid vm state: ", BadState},
		{"config operation failed: ", Config},
		{"agent operation failed: ", Agent},
		{"storage operation failed: ", Storage},
		{"database operation failed: ", Storage},
		{"mount operation failed: ", MountFailed},
		{"mount source not found: ", MountFailed},
		{"invalid mount path: ", MountFailed},
		{"hypervisor not available: ", NoHypervisor},
		{"kvm not available: ", NoKVM},
		{"kvm permission denied: ", KVMDenied},
		{"io operation failed: ", Storage},
	}
	// details narrow a format down by what follows it.
	details = []struct {
		of   Kind
		text *regexp.Regexp
		kind Kind
	}{
		{Config, regexp.MustCompile(`machine '[^']*' already exists`), Exists},
		{Config, regexp.MustCompile(`machine '[^']*' not found`), NotFound},
		{Agent, regexp.MustCompile(`machine '[^']*' is not running`), NotRunning},
		{Agent, regexp.MustCompile(`kvm permission denied: |KvmOpen\(Error\(13\)\)|/dev/kvm.*[Pp]ermission denied`), KVMDenied},
		{Agent, regexp.MustCompile(`kvm not available: |KvmOpen\(`), NoKVM},
		{Agent, regexp.MustCompile(`hypervisor not available: `), NoHypervisor},
		{Agent, regexp.MustCompile(`unreachable|not respond|timed out`), Silent},
	}
)

// ownError finds smolvm's own message in standard error: the last line that
// begins with "Error: ", with what follows it. Notes and log lines may stand
// before it, and a command in the machine may have printed such a line too.
func ownError(stderr string) (message string, found bool) {
	lines := strings.Split(printable(stderr), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if rest, ok := strings.CutPrefix(lines[i], "Error: "); ok {
			return clip(strings.TrimSpace(strings.Join(append([]string{rest}, lines[i+1:]...), " ")), 1000), true
		}
	}
	return "", false
}

// usageError finds the message of smolvm's argument parser.
func usageError(stderr string) (message string, found bool) {
	text := printable(stderr)
	for line := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(line, "error: "); ok && strings.Contains(text, "\nUsage: smolvm") {
			return clip(rest, 300), true
		}
	}
	return "", false
}

// classify names the kind of one of smolvm's messages. known is false for one
// that has none of its formats.
func classify(message string) (kind Kind, known bool) {
	for _, f := range formats {
		if !strings.HasPrefix(message, f.prefix) {
			continue
		}
		for _, d := range details {
			if d.of == f.kind && d.text.MatchString(message) {
				return d.kind, true
			}
		}
		return f.kind, true
	}
	return Other, false
}

// failure makes the error of a call that did not end with 0.
func failure(op, machine string, code int, stderr string) *Error {
	e := &Error{Kind: Other, Op: op, Machine: machine, Code: code}
	switch message, found := ownError(stderr); {
	case code == 137:
		e.Kind, e.Message = Killed, "it was killed (exit 137)"
	case found:
		e.Message = message
		e.Kind, _ = classify(message)
	case code == 2:
		if m, ok := usageError(stderr); ok {
			e.Kind, e.Message = Usage, m
		}
	}
	if e.Message == "" {
		e.Message = clip(lastLine(stderr), 300)
	}
	return e
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(printable(s)), "\n")
	return lines[len(lines)-1]
}

// printable drops what would act on a terminal: a machine's console can be in
// what smolvm prints.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '�' {
			return -1
		}
		return r
	}, escape.ReplaceAllString(s, ""))
}
