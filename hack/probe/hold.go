//go:build linux

package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

// hold fetches one address again and again from one process: what it trusts
// and which proxy it uses was read once, as in an agent that runs for hours.
func hold(address string, limit time.Duration) {
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true},
	}
	if address == "" {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		answer, err := client.Get(address)
		if err != nil {
			refused("hold", address, err)
			continue
		}
		answer.Body.Close()
		report(result{Attempt: "hold", Target: address, Out: answer.StatusCode == http.StatusOK, Detail: answer.Status})
	}
}
