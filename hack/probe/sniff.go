//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"time"
)

// sniff prints every packet of this network namespace that carries a marker,
// on every interface, loopback too: a name that is asked of a resolver stands
// in the packet as it is. It begins with a line that says it is ready.
func sniff(markers []string, limit time.Duration) {
	const everything = 0x0300 // ETH_P_ALL in network order
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, everything)
	if err != nil {
		refused("sniff", "socket", err)
		os.Exit(1)
	}
	wait := syscall.NsecToTimeval(int64(100 * time.Millisecond))
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait); err != nil {
		refused("sniff", "setsockopt", err)
		os.Exit(1)
	}
	report(result{Attempt: "sniff ready"})
	packet, count := make([]byte, 1<<16), 0
	for end := time.Now().Add(limit); time.Now().Before(end); {
		n, _, err := syscall.Recvfrom(fd, packet, 0)
		if err != nil {
			continue // nothing for a while
		}
		count++
		for _, m := range markers {
			if bytes.Contains(packet[:n], []byte(m)) {
				report(result{Attempt: "sniff", Target: m, Out: true, Detail: addresses(packet[:n])})
			}
		}
	}
	report(result{Attempt: "sniff summary", Detail: fmt.Sprintf("%d packets", count)})
}

func addresses(p []byte) string {
	if len(p) < 20 || p[0]>>4 != 4 {
		return ""
	}
	return fmt.Sprintf("protocol %d, %d.%d.%d.%d to %d.%d.%d.%d", p[9], p[12], p[13], p[14], p[15], p[16], p[17], p[18], p[19])
}
