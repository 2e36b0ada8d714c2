//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// slow is the pace at which every request has a connection of its own.
const slow = 200 * time.Millisecond

// hold fetches one address again and again from one process: what it trusts
// and which proxy it uses was read once, as in an agent that runs for hours.
// With every it asks that often and keeps its connection; with once it ends
// at the first answer that came through.
func hold(address string, limit, every time.Duration, once bool) {
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: every >= slow, ForceAttemptHTTP2: true},
	}
	if address == "" {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(every) {
		answer, err := client.Get(address)
		if err != nil {
			refused("hold", address, err)
			continue
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		ok := answer.StatusCode == http.StatusOK
		report(result{Attempt: "hold", Target: address, Out: ok, Detail: answer.Status, At: time.Now().UnixNano()})
		if ok && once {
			return
		}
	}
}
