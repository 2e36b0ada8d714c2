//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const resolver = "127.0.0.53:53"

// Types of DNS records that can carry something, and those that browsers ask.
var recordTypes = map[string]uint16{
	"A": 1, "NS": 2, "CNAME": 5, "NULL": 10, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33,
	"NAPTR": 35, "SVCB": 64, "HTTPS": 65, "ANY": 255, "CAA": 257,
}

func init() {
	rows["A1"] = func(w *world) []variant {
		data := strings.Repeat("6461746120", 6) + "." + w.mute("A1")
		var all []variant
		for name, kind := range recordTypes {
			for _, network := range []string{"udp", "tcp"} {
				all = append(all, variant{
					"DNS " + name + " by " + network + " of a name with data in it", "NXDOMAIN",
					func() string { return query(network, resolver, data, kind) },
				})
			}
		}
		host := func(n int) string { return fmt.Sprintf("d%d.%s", n, data) }
		return append(all,
			variant{"CONNECT to a name with data in it", "403", func() string { _, said := connect(host(1) + ":443"); return said }},
			variant{"GET of such a URL by the proxy", "403", func() string { return explicit(get("http://"+host(2)+"/mute/A1", host(2))) }},
			variant{"asking the local page to explain it", "200", func() string {
				return explicit(get("http://_egress.local/explain?url=https://"+host(3)+"/mute/A1", "_egress.local"))
			}},
			variant{"TLS to it without a proxy", "tls|closed", func() string { return unasked(host(4), get("/mute/A1", host(4))) }},
			variant{"HTTP to it without a proxy", "403", func() string { return plain(httpAddress, get("/mute/A1", host(5))) }},
			variant{"the control: DNS A of an allowed name", "127.0.0.53", func() string { return query("udp", resolver, w.Loud, 1) }},
		)
	}
	rows["A2"] = func(w *world) []variant {
		name := w.mute("A2")
		var all []variant
		for _, to := range []string{
			"udp 192.0.2.53:53", "tcp 192.0.2.53:53", "tcp 192.0.2.53:853", "udp 192.0.2.53:853",
			"udp 127.0.0.11:53", "tcp 127.0.0.11:53", "udp " + w.Gateway + ":53", "tcp " + w.Gateway + ":53",
			"udp 224.0.0.251:5353", "udp 224.0.0.252:5355", "udp 255.255.255.255:137", "udp [ff02::fb]:5353",
		} {
			network, address, _ := strings.Cut(to, " ")
			all = append(all, variant{"a DNS query to " + to, noWay, func() string { return query(network, address, name, 1) }})
		}
		for _, host := range []string{"dns.example", "192.0.2.53", "doh." + name} {
			all = append(all, variant{"DNS over HTTPS at " + host, "403", func() string { _, said := connect(host + ":443"); return said }})
		}
		return append(all, variant{"DNS over TLS by the proxy", "403", func() string { _, said := connect(w.Loud + ":853"); return said }})
	}
	rows["A3"] = func(w *world) []variant {
		return []variant{{"a resolver of one's own on loopback, beside the bottle's", "NXDOMAIN", func() string {
			c, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				return failed(err)
			}
			defer c.Close()
			return query("udp", resolver, "bound."+w.mute("A3"), 1)
		}}, {"resolv.conf names the bottle's resolver alone", "nameserver 127.0.0.53", func() string {
			text, err := os.ReadFile("/etc/resolv.conf")
			if err != nil {
				return failed(err)
			}
			var servers []string
			for l := range strings.Lines(string(text)) {
				if strings.HasPrefix(l, "nameserver") {
					servers = append(servers, strings.TrimSpace(l))
				}
			}
			if len(servers) != 1 {
				return fmt.Sprint("nameservers: ", servers)
			}
			return servers[0]
		}}}
	}
	rows["A4"] = func(w *world) []variant {
		return []variant{
			{"a label under an exact name, by CONNECT", "403", func() string { _, said := connect("data." + w.Loud + ":443"); return said }},
			{"a label under an exact name, by DNS", "NXDOMAIN", func() string { return query("udp", resolver, "data."+w.Loud, 1) }},
			{"two labels under a wildcard of one", "403", func() string { _, said := connect("a.data." + w.Wild + ":443"); return said }},
			{"two labels under a wildcard of one, by DNS", "NXDOMAIN", func() string { return query("udp", resolver, "a.data."+w.Wild, 1) }},
			{"a label under a wildcard: answered here, asked of nobody", "127.0.0.53", func() string { return query("udp", resolver, "mute-a4."+w.Wild, 16, 1) }},
		}
	}
	rows["A5"] = func(w *world) []variant {
		return []variant{
			{"an allowed name that leads to a private address", "403", func() string { return through(w.Private+":443", w.Private, get("/mute/A5", w.Private)) }},
			{"the same by plain HTTP", "403", func() string { return explicit(get("http://"+w.Private+"/mute/A5", w.Private)) }},
		}
	}
	rows["A6"] = func(w *world) []variant {
		var all []variant
		for _, host := range []string{
			"evil\x00." + w.Loud, w.Loud + "\x00.example", "evil_x." + w.Loud, w.Loud + ".", "0x7f.1", "2130706433", "0177.0.0.1", "127.1", "1.2.3.256",
			"[::1%25lo]", "[fe80::1%25eth0]", "[::ffff:1.2.3.4]", "[0:0:0:0:0:0:0:1]", "b\u00fccher.example", "\uff4coud.example", "a..example", "-a.example",
			"user@" + w.Loud, w.Loud + "%00", w.Loud + "\t", "*." + w.Loud,
		} {
			all = append(all, variant{fmt.Sprintf("CONNECT %q", host), "400", func() string { _, said := connect(host + ":443"); return said }})
		}
		upper := strings.ToUpper(w.Loud)
		return append(all,
			variant{"SOCKS5 to the proxy's port, with NUL in the name", "400|closed", func() string {
				return explicit("\x05\x01\x00\x05\x01\x00\x03" + string(rune(len(w.Loud)+5)) + "evil\x00" + w.Loud + "\x01\xbb")
			}},
			variant{"SOCKS4a to the proxy's port", "400|closed", func() string { return explicit("\x04\x01\x01\xbb\x00\x00\x00\x01\x00" + w.Loud + "\x00") }},
			variant{"DNS of a name with NUL in a label", "NXDOMAIN|rcode", func() string { return query("udp", resolver, "evil\x00."+w.Loud, 1) }},
			variant{"the control: CONNECT in capitals is the same name", "200", func() string { return through(upper+":443", w.Loud, get("/loud/A6", w.Loud)) }},
		)
	}
	// In a bottle whose list is empty.
	rows["A7"] = func(w *world) []variant {
		return []variant{
			{"an empty list: CONNECT", "403", func() string { _, said := connect(w.Loud + ":443"); return said }},
			{"an empty list: GET", "403", func() string { return explicit(get("http://"+w.Loud+"/mute/A7", w.Loud)) }},
			{"an empty list: DNS", "NXDOMAIN", func() string { return query("udp", resolver, w.Loud, 1) }},
			{"an empty list: TLS without a proxy", "tls|closed", func() string { return unasked(w.Loud, get("/mute/A7", w.Loud)) }},
			{"an empty list: HTTP without a proxy", "403", func() string { return plain(httpAddress, get("/mute/A7", w.Loud)) }},
		}
	}
}

// query asks by hand, so that no library decides what is worth sending. It
// returns the address of the last kind's answer, "NXDOMAIN", or the code.
func query(network, server, name string, kinds ...uint16) (said string) {
	for _, kind := range kinds {
		said = ask(network, server, name, kind)
	}
	return said
}

func ask(network, server, name string, kind uint16) string {
	message := []byte{0x62, 0x62, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(name, ".") {
		message = append(append(message, byte(len(label))), label...)
	}
	message = append(message, 0, byte(kind>>8), byte(kind), 0, 1)
	c, err := dial(network, server)
	if err != nil {
		return failed(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return failed(err)
	}
	if network == "tcp" {
		message = append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
	}
	if _, err := c.Write(message); err != nil {
		return failed(err)
	}
	b := make([]byte, 2048)
	n, err := c.Read(b)
	if network == "tcp" && err == nil && n == 2 {
		n, err = c.Read(b[2:])
		n += 2
	}
	switch {
	case errors.Is(err, io.EOF):
		return noWay + ": closed"
	case err != nil:
		return failed(err)
	case network == "tcp" && n > 2:
		b, n = b[2:], n-2
	}
	switch code := b[3] & 0xf; {
	case n < 12:
		return "a short answer"
	case code == 3:
		return "NXDOMAIN"
	case code != 0:
		return fmt.Sprintf("rcode %d", code)
	case binary.BigEndian.Uint16(b[6:]) == 0:
		return "an empty answer"
	case kind == 1:
		return net.IP(b[n-4 : n]).String()
	}
	return "an answer"
}
