//go:build linux

// Command probe tries to get out of a bottle, as an agent with bad intentions
// would, and prints one JSON line for each attempt. It is pushed into bottles
// by the tests; it also runs beside them, where it watches a wire or holds a
// connection. It needs nothing but itself and builds for 386, whose socket
// calls take another door into the kernel.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// result is one attempt. Out means that it succeeded: something left, or the
// kernel granted what a bottle must not have.
type result struct {
	Attempt string `json:"attempt"`
	Target  string `json:"target,omitempty"`
	Out     bool   `json:"out"`
	Detail  string `json:"detail,omitempty"`
	At      int64  `json:"at,omitempty"` // nanoseconds since 1970
}

var printing sync.Mutex

func report(r result) {
	printing.Lock()
	defer printing.Unlock()
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // only plain data reaches this
	}
	fmt.Println(string(b))
}

// refused reports an attempt that an error should end.
func refused(attempt, target string, err error) {
	r := result{Attempt: attempt, Target: target, Out: err == nil}
	if err != nil {
		r.Detail = err.Error()
	}
	report(r)
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

const usage = `probe escape [-tcp ADDR:PORT] [-udp ADDR:PORT] [-dns NAME]   everything that could get out
probe grep [-root DIR] < VALUE                                  look for a value everywhere
probe sniff -marker TEXT [-flows] [-for 10s]                    print packets that carry a text, and where packets go
probe hold [-for 60s] [-every 5ms] [-once] URL                  fetch again and again, in one process
probe kill PID                                                  SIGKILL, from a container that sees the host's processes
probe sleep                                                     do nothing
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	flags := flag.NewFlagSet("probe", flag.ExitOnError)
	var tcp, udp, names, markers list
	flags.Var(&tcp, "tcp", "an `ADDR:PORT` to reach by TCP")
	flags.Var(&udp, "udp", "an `ADDR:PORT` to reach by UDP; a listener there answers")
	flags.Var(&names, "dns", "a `NAME` to resolve")
	flags.Var(&markers, "marker", "a `TEXT` to look for in packets")
	limit := flags.Duration("for", time.Minute, "how long")
	flows := flags.Bool("flows", false, "print every place that packets go to, and every name asked for")
	every := flags.Duration("every", slow, "how often")
	once := flags.Bool("once", false, "end at the first answer that came through")
	root := flags.String("root", "/", "search files below this `DIR`")
	if err := flags.Parse(os.Args[2:]); err != nil {
		os.Exit(2)
	}
	switch os.Args[1] {
	case "escape":
		network(tcp, udp)
		resolve(names)
		kernel()
		unixSockets()
	case "grep":
		grep(os.Stdin, *root)
	case "sniff":
		sniff(markers, *flows, *limit)
	case "hold":
		hold(flags.Arg(0), *limit, *every, *once)
	case "kill":
		kill(flags.Arg(0))
	case "sleep":
		time.Sleep(24 * time.Hour)
	case noop: // what a child in a new namespace runs
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}
