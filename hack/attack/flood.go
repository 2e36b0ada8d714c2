//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// flood takes all it can get of one thing after the other (attack E10), or of
// those whose names begin so, and says after each whether what was refused
// before still is, and what was allowed comes back.
func flood(w *world, only []string) {
	for _, f := range []struct {
		what string
		do   func() func()
	}{
		{"connections that say nothing", func() func() { return many(proxyAddress, "") }},
		{"heads that never end", func() func() { return many(proxyAddress, "GET http://"+w.Loud+"/mute HTTP/1.1\r\nHost: ") }},
		{"handshakes that never end", func() func() { return many(tlsAddress, "\x16\x03\x01\x02\x00\x01") }},
		{"bodies that never end", func() func() {
			return many(proxyAddress, "POST http://"+w.Loud+"/mute/E10 HTTP/1.1\r\nHost: "+w.Loud+"\r\nContent-Length: 8000000\r\n\r\nx")
		}},
		{"queries, as many as go", queries(w)},
		{"processes, as many as there may be", processes},
		{"memory, more than there is", memory},
	} {
		if len(only) > 0 && !slices.ContainsFunc(only, func(o string) bool { return strings.HasPrefix(f.what, o) }) {
			continue
		}
		report("E10", variant{f.what + ": a denied name stays denied", "403|503|closed|" + noWay, func() string {
			free := f.do()
			defer free()
			_, said := connect(w.mute("E10") + ":443")
			return said
		}})
		report("E10", variant{f.what + ": and afterwards the way out is back", "200", func() string {
			var said string
			for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				if said = through(w.Loud+":443", w.Loud, get("/loud/E10", w.Loud)); strings.HasPrefix(said, "200") {
					break
				}
			}
			return said
		}})
	}
}

// many opens 3000 connections, more than a sidecar serves at once, and returns
// what closes them.
func many(address, input string) func() {
	var mu sync.Mutex
	var open []net.Conn
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			for range 100 {
				c, err := net.DialTimeout("tcp", address, time.Second)
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, input) // refused is fine
				mu.Lock()
				open = append(open, c)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return func() {
		for _, c := range open {
			c.Close()
		}
	}
}

func queries(w *world) func() func() {
	return func() func() {
		c, err := net.Dial("udp", resolver)
		if err != nil {
			return func() {}
		}
		message := []byte{1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'e', '1', '0'}
		message = append(append(message, byte(len("mute-"+w.ID))), "mute-"+w.ID...)
		message = append(message, 0, 0, 1, 0, 1)
		for range 20000 {
			_, _ = c.Write(message) // a full queue is the point
		}
		return func() { c.Close() }
	}
}

// processes starts sleeping children until the bottle has no more.
func processes() func() {
	var children []*exec.Cmd
	for range 5000 {
		c := exec.Command("sleep", "60")
		if c.Start() != nil {
			break
		}
		children = append(children, c)
	}
	fmt.Fprintf(os.Stderr, "%d processes\n", len(children))
	end := func(some []*exec.Cmd) {
		for _, c := range some {
			_ = c.Process.Kill() // it ends by itself otherwise
			_ = c.Wait()         // as told
		}
	}
	few := min(len(children), 24)
	end(children[:few]) // room for threads of this program
	return func() { end(children[few:]) }
}

// memory has a child that takes what the bottle may have: the kernel ends it.
func memory() func() {
	c := exec.Command("sh", "-c", "head -c 64G /dev/zero | tail -c 64G >/dev/null")
	if c.Start() != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		_ = c.Wait() // killed, as it should be
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(8 * time.Second):
		_ = c.Process.Kill() // where there is no limit
		<-done
	}
	return func() {}
}
