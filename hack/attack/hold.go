//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// hold opens everything that lasts to a host, says so, waits until the policy
// has the host no more, and goes on using what it has (attack B8).
func hold(w *world) {
	kept := func(path string) string {
		return strings.Replace(get(path, w.Gone), "Connection: close\r\n", "", 1)
	}
	idle, said := tunnel(w.Gone+":443", w.Gone)
	if idle == nil {
		report("B8", variant{"opening a tunnel to a route that is still there", "200", func() string { return said }})
		return
	}
	reading := bufio.NewReader(idle)
	report("B8", variant{"the control: a request on a tunnel", "200", func() string {
		if _, err := io.WriteString(idle, kept("/loud/B8")); err != nil {
			return failed(err)
		}
		return answer(reading)
	}})
	streaming, said := tunnel(w.Gone+":443", w.Gone)
	if streaming == nil {
		report("B8", variant{"a second tunnel", "200", func() string { return said }})
		return
	}
	if _, err := io.WriteString(streaming, kept("/stream?seconds=60&loud")); err != nil {
		fmt.Println(failed(err))
	}
	events := bufio.NewReader(streaming)
	report("B8", variant{"the control: a stream runs", "data: ", func() string { return lineWith(events, "data: ") }})
	sock, said := upgrade(w.Gone, "/socket?loud-B8", "Upgrade")
	report("B8", variant{"the control: a WebSocket is open", "101", func() string { return said }})
	fmt.Println(`{"row":"ready"}`)

	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if page := explicitWhole(get("http://_egress.local/allowlist", "_egress.local")); strings.Contains(page, w.Loud) && !strings.Contains(page, w.Gone) {
			break
		}
	}
	report("B8", variant{"the tunnel that was idle, after its route is gone", "403|closed", func() string {
		_ = idle.SetDeadline(time.Now().Add(patience)) // an error shows at the next line
		if _, err := io.WriteString(idle, kept("/mute/B8")); err != nil {
			return failed(err)
		}
		return answer(reading)
	}})
	report("B8", variant{"the stream, after its route is gone", "closed", func() string {
		_ = streaming.SetDeadline(time.Now().Add(3 * time.Second)) // as above
		_, err := io.Copy(io.Discard, events)
		if err == nil {
			return "closed"
		}
		return failed(err)
	}})
	report("B8", variant{"the WebSocket, after its route is gone", "closed", func() string {
		if sock == nil {
			return "there was none"
		}
		_ = sock.SetDeadline(time.Now().Add(3 * time.Second)) // as above
		if err := sock.frame(0x81, []byte("mark-muteb8socket")); err != nil {
			return failed(err)
		}
		text, said := sock.read()
		return said + text
	}})
}

func lineWith(r *bufio.Reader, prefix string) string {
	for {
		l, err := r.ReadString('\n')
		if err != nil {
			return failed(err)
		}
		if strings.HasPrefix(l, prefix) {
			return strings.TrimSpace(l)
		}
	}
}

// explicitWhole is the whole answer to a request, with its head.
func explicitWhole(input string) string {
	c, err := dial("tcp", proxyAddress)
	if err != nil {
		return failed(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, input); err != nil {
		return failed(err)
	}
	text, _ := io.ReadAll(io.LimitReader(c, 1<<20))
	return string(text)
}
