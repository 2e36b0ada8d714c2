package fakesmol

import (
	"fmt"
	"strings"
)

// flag of a command, as the argument parser of smolvm knows it.
type flag struct {
	long, short string
	value       string // the name of its value; "" means none
	repeat      bool
	required    bool
	about       string
}

// command is one `smolvm machine VERB`.
type command struct {
	flags []flag
	// rest is what follows the flags: "" nothing, "--" only behind "--",
	// "COMMAND" a command, else the names of positional arguments.
	rest string
	do   func(*state, *parsed) error
}

// parsed arguments.
type parsed struct {
	values map[string][]string
	rest   []string
}

func (p *parsed) has(long string) bool { return len(p.values[long]) > 0 }

func (p *parsed) one(long string) string {
	if v := p.values[long]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (c command) line(verb string) string {
	switch c.rest {
	case "":
		return "machine " + verb + " [OPTIONS]"
	case "--":
		return "machine " + verb + " [OPTIONS] [-- <COMMAND>...]"
	case "COMMAND":
		return "machine " + verb + " [OPTIONS] <COMMAND>..."
	}
	return "machine " + verb + " [OPTIONS] " + c.rest
}

// parse returns nil and no error when it printed the help.
func (c command) parse(verb string, args []string) (*parsed, error) {
	p := &parsed{values: map[string][]string{}}
	bad := func(format string, a ...any) error { return usage{fmt.Sprintf(format, a...), c.line(verb)} }
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			p.rest = append(p.rest, args[i+1:]...)
			break
		}
		if a == "--help" || a == "-h" {
			c.help(verb)
			return nil, nil
		}
		if !strings.HasPrefix(a, "-") || a == "-" {
			if c.rest == "" || c.rest == "--" {
				return nil, bad("unexpected argument '%s' found", a)
			}
			if c.rest == "COMMAND" {
				p.rest = append(p.rest, args[i:]...)
				break
			}
			p.rest = append(p.rest, a)
			continue
		}
		name, value, given := strings.Cut(a, "=")
		f := c.find(name)
		if f == nil {
			return nil, bad("unexpected argument '%s' found\n\n  tip: to pass '%s' as a value, use '-- %s'", name, name, name)
		}
		if f.value != "" && !given {
			if i++; i >= len(args) {
				return nil, bad("a value is required for '--%s <%s>' but none was supplied", f.long, f.value)
			}
			value = args[i]
		}
		if len(p.values[f.long]) > 0 && !f.repeat {
			return nil, bad("the argument '--%s' cannot be used multiple times", f.long)
		}
		p.values[f.long] = append(p.values[f.long], value)
	}
	return p, c.check(verb, p)
}

func (c command) check(verb string, p *parsed) error {
	missing := ""
	for _, f := range c.flags {
		if f.required && !p.has(f.long) {
			missing = fmt.Sprintf("--%s <%s>", f.long, f.value)
		}
	}
	switch {
	case c.rest == "COMMAND" && len(p.rest) == 0:
		missing = "<COMMAND>..."
	case strings.HasPrefix(c.rest, "<") && len(p.rest) < strings.Count(c.rest, "<"):
		missing = c.rest
	}
	if missing != "" {
		return usage{"the following required arguments were not provided:\n  " + missing, c.line(verb)}
	}
	return nil
}

func (c command) find(name string) *flag {
	for i, f := range c.flags {
		if name == "--"+f.long || f.short != "" && name == "-"+f.short {
			return &c.flags[i]
		}
	}
	return nil
}

func (c command) help(verb string) {
	fmt.Printf("Usage: smolvm %s\n\nOptions:\n", c.line(verb))
	for _, f := range c.flags {
		short, value := "    ", ""
		if f.short != "" {
			short = "-" + f.short + ", "
		}
		if f.value != "" {
			value = " <" + f.value + ">"
		}
		fmt.Printf("  %s--%s%s\n          %s\n\n", short, f.long, value, f.about)
	}
	fmt.Print("  -h, --help\n          Print help\n")
}

var (
	nameFlag  = flag{long: "name", short: "n", value: "NAME", about: "Name of the machine"}
	jsonFlag  = flag{long: "json", about: "Output in JSON format"}
	envFlag   = flag{long: "env", short: "e", value: "KEY=VALUE", repeat: true, about: "Set environment variable"}
	dirFlag   = flag{long: "workdir", short: "w", value: "DIR", about: "Set working directory"}
	forceFlag = flag{long: "force", short: "f", about: "Skip confirmation prompt"}
)

func needed(f flag) flag { f.required = true; return f }

var commands map[string]command

func init() {
	commands = map[string]command{
		"create": {do: create, rest: "--", flags: []flag{
			nameFlag,
			{long: "label", value: "KEY=VALUE", repeat: true, about: "Attach metadata to the machine"},
			{long: "image", short: "I", value: "IMAGE", about: "Container image"},
			{long: "from", value: "PATH", about: "Create from a packed machine"},
			{long: "cpus", value: "N", about: "Number of CPUs"},
			{long: "mem", value: "MiB", about: "Memory"},
			{long: "storage", value: "GiB", about: "Storage disk size"},
			{long: "overlay", value: "GiB", about: "Overlay disk size"},
			{long: "volume", short: "v", value: "HOST:GUEST[:ro]", repeat: true, about: "Mount host directory"},
			{long: "net", about: "Enable outbound network access"},
			{long: "net-backend", value: "BACKEND", about: "Network backend"},
			{long: "mount-socket", value: "HOST_PATH:GUEST_PATH", repeat: true, about: "Mount a host Unix socket"},
			envFlag, dirFlag,
		}},
		"start":    {do: start, flags: []flag{nameFlag}},
		"stop":     {do: stop, flags: []flag{nameFlag}},
		"delete":   {do: remove, flags: []flag{needed(nameFlag), forceFlag}},
		"ls":       {do: list, flags: []flag{jsonFlag, {long: "verbose", short: "v", about: "Show more"}}},
		"update":   {do: update, flags: []flag{needed(nameFlag), {long: "no-net", about: "Disable network"}}},
		"status":   {do: status, flags: []flag{nameFlag, jsonFlag}},
		"data-dir": {do: dataDir, flags: []flag{needed(nameFlag)}},
		"exec": {do: execute, rest: "COMMAND", flags: []flag{
			{long: "name", value: "NAME", about: "Target machine"},
			envFlag, dirFlag,
			{long: "timeout", value: "DURATION", about: "Kill command after duration"},
			{long: "interactive", short: "i", about: "Keep stdin open"},
			{long: "stream", about: "Stream output"},
			{long: "detach", short: "d", about: "Spawn in the background"},
		}},
	}
}
