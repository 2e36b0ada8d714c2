//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// sniff prints every packet of this network namespace that carries a marker,
// on every interface, loopback too: a name that is asked of a resolver stands
// in the packet as it is. With flows it also prints, once each, every place a
// packet went to and every name that was asked for: what is not on the list
// did not happen. It begins with a line that says it is ready.
func sniff(markers []string, flows bool, limit time.Duration) {
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
	packet, count, had := make([]byte, 1<<16), 0, map[result]bool{}
	for end := time.Now().Add(limit); time.Now().Before(end); {
		n, _, err := syscall.Recvfrom(fd, packet, 0)
		if err != nil {
			continue // nothing for a while
		}
		count++
		if flows {
			for _, r := range []result{flowOf(packet[:n]), questionOf(packet[:n])} {
				if r.Attempt != "" && !had[r] {
					had[r] = true
					report(r)
				}
			}
		}
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

// flowOf is where an IP packet goes: "udp 192.0.2.1:53". Ports above the usual
// ones are those of clients, and one place.
func flowOf(p []byte) result {
	r := result{Attempt: "flow"}
	switch {
	case len(p) >= 24 && p[0]>>4 == 4:
		ip := net.IP(p[16:20]).String()
		rest := p[int(p[0]&0xf)*4:]
		name, ok := map[byte]string{syscall.IPPROTO_TCP: "tcp", syscall.IPPROTO_UDP: "udp"}[p[9]]
		if r.Target = fmt.Sprintf("ip-%d %s", p[9], ip); ok && len(rest) >= 4 {
			port := int(rest[2])<<8 | int(rest[3])
			if r.Target = fmt.Sprintf("%s %s:%d", name, ip, port); port >= 32768 {
				r.Target = name + " " + ip + ":client"
			}
		}
	case len(p) >= 40 && p[0]>>4 == 6:
		r.Target = fmt.Sprintf("ip6-%d %s", p[6], net.IP(p[24:40]))
	default:
		return result{} // ARP and its like
	}
	return r
}

// questionOf is the name in a packet that is a DNS query by UDP, to any port:
// the engine's resolver moves its own about.
func questionOf(p []byte) result {
	if len(p) < 20 || p[0]>>4 != 4 || p[9] != syscall.IPPROTO_UDP {
		return result{}
	}
	p = p[int(p[0]&0xf)*4:]
	if len(p) < 8+12+5 {
		return result{}
	}
	p = p[8:]
	const response, one = 0x80, 1
	if p[2]&response != 0 || p[4] != 0 || p[5] != one {
		return result{}
	}
	var name []string
	for p = p[12:]; len(p) > int(p[0])+1 && p[0] != 0; p = p[int(p[0])+1:] {
		if p[0] > 63 {
			return result{}
		}
		name = append(name, string(p[1:int(p[0])+1]))
	}
	return result{Attempt: "question", Target: strings.ToLower(strings.Join(name, "."))}
}
