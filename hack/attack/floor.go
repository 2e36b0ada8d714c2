//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// straight is a connection past the proxy.
func straight(network, address string) variant {
	return variant{"a connection straight to " + network + " " + address, noWay, func() string {
		if network == "udp" {
			return datagram(address, "mute")
		}
		c, err := dial(network, address)
		if err != nil {
			return failed(err)
		}
		c.Close()
		return "connected"
	}}
}

// byProxy asks for an address or a name that no bottle may reach.
func byProxy(address, host string) []variant {
	return []variant{
		{"CONNECT " + address, "403", func() string { return through(address, strings.Trim(host, "[]"), get("/mute-floor", host)) }},
		{"GET http://" + host + "/", "403", func() string { return explicit(get("http://"+host+"/mute-floor", host)) }},
	}
}

func init() {
	rows["E1"] = func(w *world) []variant {
		return []variant{
			straight("tcp", w.Upstream+":443"), straight("tcp", w.Upstream+":80"), straight("tcp", "192.0.2.1:443"),
			{"without a proxy, an allowed name: the same rules", "403", func() string { return unasked(w.Paths, get("/mute-E1", w.Paths)) }},
			{"without a proxy, a name that is not listed", "tls|closed", func() string { return unasked(w.mute("E1"), get("/mute-E1", w.mute("E1"))) }},
			{"the control: without a proxy, an allowed name", "200", func() string { return unasked(w.Loud, get("/loud/E1", w.Loud)) }},
			{"the control: the same, plain", "200", func() string { return plain(httpAddress, get("/loud/E1", w.Loud)) }},
		}
	}
	rows["E2"] = func(w *world) []variant {
		all := []variant{
			straight("tcp", "[2001:db8::1]:443"), straight("udp", "[2001:db8::1]:53"), straight("tcp", "[fe80::1%lo]:443"),
			straight("tcp", "[::ffff:"+w.Upstream+"]:443"), straight("tcp", "[64:ff9b::c000:201]:443"),
			{"an address of one's own on loopback", "refused", func() string { return route(syscall.RTM_NEWADDR) }},
			{"a link of one's own", "refused", func() string { return route(syscall.RTM_NEWLINK) }},
			{"AAAA of an allowed name", "an empty answer", func() string { return query("udp", resolver, w.Loud, recordTypes["AAAA"]) }},
		}
		return append(all, byProxy("[2001:db8::1]:443", "[2001:db8::1]")...)
	}
	rows["E3"] = func(w *world) []variant {
		var all []variant
		for _, host := range []string{"169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal", "host.docker.internal", w.Gateway, "100.100.100.200", "127.0.0.11"} {
			all = append(all, byProxy(host+":80", host)...)
			all = append(all, straight("tcp", host+":80"))
		}
		return append(all,
			variant{"CONNECT to a v4 address in v6 form", "400", func() string { _, said := connect("[::ffff:169.254.169.254]:80"); return said }},
			variant{"a metadata address for which a route exists", "403", func() string {
				return explicit(get("http://169.254.169.254/mute-E3", "169.254.169.254"))
			}},
			variant{"the same by CONNECT", "403|tls|closed", func() string {
				return through("169.254.169.254:443", "169.254.169.254", get("/mute-E3", "169.254.169.254"))
			}},
		)
	}
	rows["E4"] = func(w *world) []variant {
		var all []variant
		for _, host := range w.Hosts { // this host, neighbours and their sidecars
			all = append(all, byProxy(host+":"+w.HostPort, host+":"+w.HostPort)...)
			all = append(all, straight("tcp", host+":"+w.HostPort), straight("udp", host+":"+w.HostPort))
			for _, port := range []string{"9099", "53", "443", "2375"} {
				all = append(all, straight("tcp", host+":"+port))
			}
		}
		for _, host := range []string{"10.0.0.1", "172.17.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "localhost", "0.0.0.0", "[::1]", "198.18.0.1"} {
			all = append(all, byProxy(host+":"+w.HostPort, host)...)
		}
		for _, address := range []string{"127.0.0.1:" + w.HostPort, "127.0.0.1:2375", "127.0.0.1:22", "127.0.0.1:9098", "127.0.0.53:9099"} {
			all = append(all, straight("tcp", address))
		}
		return append(all, variant{"loopback, for which a route exists", "403|tls|closed", func() string {
			return through("127.0.0.1:443", "127.0.0.1", get("/mute-E4", "127.0.0.1"))
		}})
	}
	rows["E5"] = func(*world) []variant {
		return []variant{
			{"capabilities, and a way to new ones", "none", func() string { return capabilities("CapInh", "CapPrm", "CapEff", "CapAmb") }},
			{"capabilities that a program could ever be given", "none", func() string { return capabilities("CapBnd") }},
			{"a table of netfilter", "refused", netfilter},
			{"a raw IP socket, as iptables has one", "refused", func() string { return family(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_RAW) }},
			{"root by a program that is set-uid", "uid 1000", func() string { return fmt.Sprint("uid ", os.Geteuid(), " ", syscall.Setuid(0)) }},
		}
	}
	rows["E6"] = func(w *world) []variant {
		const vsock, packet = 40, 17
		all := []variant{
			{"ICMP by a datagram socket", noWay + "|refused", func() string { return ping("192.0.2.1") }},
			{"a raw ICMP socket", "refused", func() string { return family(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP) }},
			{"a packet socket", "refused", func() string { return family(packet, syscall.SOCK_RAW, 0x300) }},
			{"vsock", "refused", func() string { return family(vsock, syscall.SOCK_STREAM, 0) }},
			straight("udp", "192.0.2.1:53"), straight("udp", w.Gateway+":53"), straight("udp", "192.0.2.1:123"),
		}
		for n := range 20 {
			name := fmt.Sprintf("%02d%s.%s", n, strings.Repeat("74756e6e656c", 5), w.mute("E6"))
			all = append(all, variant{"a tunnel in queries, piece " + fmt.Sprint(n), "NXDOMAIN", func() string { return query("udp", resolver, name, recordTypes["NULL"]) }})
		}
		return all
	}
	rows["E7"] = func(*world) []variant {
		all := []variant{
			straight("tcp", "192.168.65.7:2375"), straight("tcp", "192.168.65.254:80"),
			straight("unix", "/var/run/docker.sock"), straight("unix", "/run/docker.sock"), straight("unix", "/run/podman/podman.sock"),
		}
		all = append(all, byProxy("192.168.65.7:2375", "192.168.65.7:2375")...)
		return append(all, byProxy("model-runner.docker.internal:80", "model-runner.docker.internal")...)
	}
}

func family(domain, kind, protocol int) string {
	fd, err := syscall.Socket(domain, kind, protocol)
	if err != nil {
		return "refused: " + err.Error()
	}
	syscall.Close(fd)
	return "the kernel gave one"
}

// route asks the kernel for a change of the network.
func route(kind uint16) string {
	m := make([]byte, 16+8)                   // ifaddrmsg or ifinfomsg, one attribute
	m[0], m[1], m[4] = syscall.AF_INET, 32, 1 // on interface 1
	return netlink(syscall.NETLINK_ROUTE, kind, m)
}

// netfilter asks the kernel for a table of filters: that it gives a socket for
// the question says nothing.
func netfilter() string {
	const protocol, nftables = 12, 10
	return netlink(protocol, nftables<<8, []byte{syscall.AF_INET, 0, 0, 0}) // newtable
}

// netlink asks the kernel for what it grants to nobody without NET_ADMIN.
func netlink(protocol int, kind uint16, message []byte) string {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, protocol)
	if err != nil {
		return "refused: " + err.Error()
	}
	defer syscall.Close(fd)
	m := append(make([]byte, 16), message...) // nlmsghdr
	m[0] = byte(len(m))
	m[4], m[5] = byte(kind), byte(kind>>8)
	m[6], m[7] = syscall.NLM_F_REQUEST|syscall.NLM_F_ACK, 0x6 // create, exclusive
	if err := syscall.Sendto(fd, m, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return "refused: " + err.Error()
	}
	wait := syscall.NsecToTimeval(int64(2 * time.Second))
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait); err != nil {
		return failed(err)
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil || n < 20 {
		return fmt.Sprint("the kernel says nothing: ", err)
	}
	if code := -int32(uint32(answer[16]) | uint32(answer[17])<<8 | uint32(answer[18])<<16 | uint32(answer[19])<<24); code == int32(syscall.EPERM) {
		return "refused: " + syscall.EPERM.Error()
	}
	return "the kernel considered it"
}

// capabilities lists those of some sets, and says where new ones could be had.
func capabilities(sets ...string) string {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return failed(err)
	}
	for l := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), ":\t")
		if slices.Contains(sets, name) && strings.Trim(value, "0") != "" || name == "NoNewPrivs" && value != "1" {
			return name + " is " + value
		}
	}
	return "none"
}

func ping(address string) string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, syscall.IPPROTO_ICMP)
	if err != nil {
		return "refused: " + err.Error()
	}
	defer syscall.Close(fd)
	to := &syscall.SockaddrInet4{}
	copy(to.Addr[:], net.ParseIP(address).To4())
	if err := syscall.Sendto(fd, []byte{8, 0, 0, 0, 0, 1, 0, 1}, 0, to); err != nil {
		return noWay + ": " + err.Error()
	}
	return "an echo request left"
}

// listen is what a guest's service would be (attack E8).
func listen(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println(failed(err))
		return
	}
	time.AfterFunc(2*time.Minute, func() { _ = l.Close() })
	fmt.Println("listening")
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}
