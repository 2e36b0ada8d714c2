//go:build linux

// Command attack is the attack list, sections A to E, as it is run from inside
// a bottle: what needs raw bytes, HTTP/2 frames or crafted TLS. inside.sh beside
// it has what a person would type. Each prints one JSON line for each variant
// of a row. What the outside saw is judged by who started it: a request that
// must not arrive has "mute" in its path or host, one that may has "loud".
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// line is one variant of one row.
type line struct {
	Row      string `json:"row"`
	Tried    string `json:"tried"`
	Happened string `json:"happened"`
	Want     string `json:"want"`
	Pass     bool   `json:"pass"`
}

// variant is one way of an attack. It passes where what happened begins with
// one of the words of want, which "|" separates.
type variant struct {
	tried, want string
	do          func() string
}

// costly are variants that a sidecar counts: after a few of them it passes
// nothing for a while, so that it is no oracle. Each bottle makes four.
var costly = map[string]func(*world) []variant{}

const costs = 4

// world is what the outside tells an attacker: more than an agent knows.
type world struct {
	ID string `json:"id"` // part of every name
	// Hosts that the policy has: Loud without conditions (ports 443 and 80),
	// Auth and Basic with a credential, Paths for GET /public (both ports),
	// Socket with a credential and WebSockets, Gone for as long as it lasts,
	// Private without leave for private addresses, Wild under a wildcard.
	Loud, Auth, Basic, Paths, Socket, Gone, Private, Wild, Tunnel string
	Upstream, Gateway                                             string // addresses
	HostPort                                                      string // where the host listens, by TCP and UDP
	Hosts                                                         []string
	// Leak is a value that the sidecar holds, as if the agent had come by it.
	Leak string
	// CanaryName is the variable that holds the bottle's canary.
	CanaryName string
}

// rows are filled by the files of this package.
var rows = map[string]func(*world) []variant{}

const usage = `attack rows [ROW...] < WORLD    every row, or these
attack costly N OF < WORLD      what a sidecar counts: the Nth of OF shares
attack hold < WORLD             open connections, wait until their route is gone, use them
attack flood [WHAT...] < WORLD  everything that exhausts something, or what begins so
attack listen ADDRESS           accept connections there for two minutes
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	flags := flag.NewFlagSet("attack", flag.ExitOnError)
	if err := flags.Parse(os.Args[2:]); err != nil {
		os.Exit(2)
	}
	if os.Args[1] == "listen" {
		listen(flags.Arg(0))
		return
	}
	w := &world{}
	if err := json.NewDecoder(os.Stdin).Decode(w); err != nil {
		fmt.Fprintf(os.Stderr, "attack: the world on standard input: %v\n", err)
		os.Exit(2)
	}
	switch os.Args[1] {
	case "rows":
		run(w, flags.Args())
	case "costly":
		runCostly(w, flags.Arg(0), flags.Arg(1))
	case "hold":
		hold(w)
	case "flood":
		flood(w, flags.Args())
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
}

// run makes every variant of rows, eight at a time.
func run(w *world, only []string) {
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for id, of := range rows {
		if len(only) > 0 && !slices.Contains(only, id) || len(only) == 0 && optional[id] {
			continue
		}
		id, _, _ := strings.Cut(id, "-")
		for _, v := range of(w) {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				report(id, v)
			})
		}
	}
	all.Wait()
}

// runCostly makes one share, one after the other.
func runCostly(w *world, share, of string) {
	n, err1 := strconv.Atoi(share)
	shares, err2 := strconv.Atoi(of)
	if err := errors.Join(err1, err2); err != nil {
		fmt.Fprintf(os.Stderr, "attack: %v\n", err)
		os.Exit(2)
	}
	count := 0
	for _, id := range slices.Sorted(maps.Keys(costly)) {
		all := costly[id](w)
		slices.SortFunc(all, func(a, b variant) int { return strings.Compare(a.tried, b.tried) })
		for _, v := range all {
			if count%shares == n {
				report(id, v)
			}
			count++
		}
	}
	report("C7", variant{fmt.Sprintf("share %d of %d of what is counted", n, shares), "enough", func() string {
		if count > costs*shares {
			return fmt.Sprintf("%d variants need more bottles", count)
		}
		return "enough"
	}})
}

// optional rows need a world that is not the first one.
var optional = map[string]bool{"B3-tunnel": true, "A7": true}

var printing sync.Mutex

func report(id string, v variant) {
	l := line{Row: id, Tried: v.tried, Want: v.want, Happened: v.do()}
	l.Pass = slices.ContainsFunc(strings.Split(v.want, "|"), func(want string) bool {
		return strings.HasPrefix(l.Happened, want)
	})
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // only strings reach this
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(text))
}

// mute is a name that no policy has.
func (w *world) mute(row string) string { return strings.ToLower(row) + ".mute-" + w.ID + ".example" }
