//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// resolvers are where a program might send a query: the bottle's own, the one
// that Docker puts into networks, and two that must be out of reach.
var resolvers = []string{"127.0.0.53:53", "127.0.0.11:53", "172.17.0.1:53", "192.0.2.1:53"}

// resolve asks everyone for names. An answer with a record in it is a way out.
func resolve(names []string) {
	for _, name := range names {
		for _, server := range resolvers {
			for _, network := range []string{"udp", "tcp"} {
				answers, rcode, err := query(network, server, name)
				r := result{Attempt: "dns " + network + " " + server, Target: name, Out: answers > 0}
				if r.Detail = fmt.Sprintf("rcode %d", rcode); err != nil {
					r.Detail = err.Error()
				}
				report(r)
			}
		}
		ips, err := net.LookupHost(name)
		report(result{Attempt: "dns lookup", Target: name, Out: len(ips) > 0, Detail: fmt.Sprint(ips, err)})
	}
}

// query asks for an A record by hand, so that no resolver library decides
// what is worth sending.
func query(network, server, name string) (answers, rcode int, err error) {
	message := []byte{0x62, 0x62, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0} // recursion desired, one question
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		message = append(append(message, byte(len(label))), label...)
	}
	message = append(message, 0, 0, 1, 0, 1) // root, A, IN
	c, err := net.DialTimeout(network, server, time.Second)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return 0, 0, err
	}
	if network == "tcp" {
		message = append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
	}
	if _, err := c.Write(message); err != nil {
		return 0, 0, err
	}
	answer := make([]byte, 2048)
	n, err := c.Read(answer)
	if err != nil {
		return 0, 0, err
	}
	answer = answer[:n]
	if network == "tcp" && n > 2 {
		answer = answer[2:]
	}
	if len(answer) < 12 {
		return 0, 0, errors.New("short answer")
	}
	return int(binary.BigEndian.Uint16(answer[6:])), int(answer[3] & 0xf), nil
}
