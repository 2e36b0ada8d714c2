//go:build linux

package main

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// network lists the interfaces, then tries every address in every way that
// needs no privilege.
func network(tcp, udp []string) {
	devices := interfaces()
	for _, target := range tcp {
		c, err := net.DialTimeout("tcp", target, time.Second)
		if err == nil {
			c.Close()
		}
		refused("tcp", target, err)
	}
	for _, target := range udp {
		sendUDP("udp", target, nil)
		sendUDP("udp SO_DONTROUTE", target, func(fd int) error {
			return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_DONTROUTE, 1)
		})
		for _, d := range devices {
			sendUDP("udp SO_BINDTODEVICE "+d, target, func(fd int) error {
				return syscall.SetsockoptString(fd, syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, d)
			})
			sendUDP("udp SO_BINDTODEVICE SO_DONTROUTE "+d, target, func(fd int) error {
				if err := syscall.SetsockoptString(fd, syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, d); err != nil {
					return err
				}
				return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_DONTROUTE, 1)
			})
		}
		host, _, err := net.SplitHostPort(target)
		if err != nil {
			host = target
		}
		ping(host)
	}
}

// interfaces reports every interface but loopback as a way out, and returns
// the names worth binding to.
func interfaces() []string {
	found, err := net.Interfaces()
	if err != nil {
		report(result{Attempt: "interfaces", Detail: err.Error()})
	}
	var names []string
	for _, i := range found {
		names = append(names, i.Name)
	}
	others := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "lo" })
	report(result{Attempt: "interfaces", Out: len(others) > 0, Detail: strings.Join(names, " ")})
	if !slices.Contains(names, "eth0") {
		names = append(names, "eth0")
	}
	return names
}

// sendUDP gets out when somebody answers. That a datagram was accepted by the
// kernel says little: bound to loopback it is, and goes nowhere.
func sendUDP(attempt, target string, option func(fd int) error) {
	d := net.Dialer{Timeout: time.Second, Control: func(_, _ string, raw syscall.RawConn) error {
		var set error
		err := raw.Control(func(fd uintptr) {
			if option != nil {
				set = option(int(fd))
			}
		})
		if set != nil {
			return set
		}
		return err
	}}
	c, err := d.DialContext(context.Background(), "udp", target)
	if err != nil {
		refused(attempt, target, err)
		return
	}
	defer c.Close()
	if _, err = c.Write([]byte("probe " + attempt)); err == nil {
		if err = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err == nil {
			_, err = c.Read(make([]byte, 512))
		}
	}
	refused(attempt, target, err)
}

// ping tries ICMP through the two kinds of socket that can carry it.
func ping(host string) {
	ip := net.ParseIP(host).To4()
	if ip == nil {
		return
	}
	for name, kind := range map[string]int{"icmp raw": syscall.SOCK_RAW, "icmp datagram": syscall.SOCK_DGRAM} {
		refused(name, host, echoRequest(kind, [4]byte(ip)))
	}
}

func echoRequest(kind int, ip [4]byte) error {
	fd, err := syscall.Socket(syscall.AF_INET, kind, syscall.IPPROTO_ICMP)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	wait := syscall.NsecToTimeval(int64(300 * time.Millisecond))
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	request := []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1} // echo, checksum, identifier 1, sequence 1
	if err := syscall.Sendto(fd, request, 0, &syscall.SockaddrInet4{Addr: ip}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	_, _, err = syscall.Recvfrom(fd, make([]byte, 512), 0)
	return os.NewSyscallError("recvfrom", err)
}
