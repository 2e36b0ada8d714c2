//go:build linux

package main

import (
	"bufio"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

func init() {
	rows["B1"] = func(w *world) []variant {
		return []variant{
			{"CONNECT to the attacker's address, SNI and Host of a route with a credential", "403", func() string {
				return through(w.Upstream+":443", w.Auth, get("/mute/B1", w.Auth))
			}},
			{"plain GET of the attacker's address with that Host", "400", func() string { return explicit(get("http://"+w.Upstream+"/mute/B1", w.Auth)) }},
			{"plain GET of a name outside with that Host", "400", func() string { return explicit(get("http://"+w.mute("B1")+"/mute/B1", w.Auth)) }},
			{"without a proxy: TLS for an allowed name, Host of the one with a credential", "403", func() string {
				return unasked(w.Loud, get("/mute/B1", w.Auth))
			}},
			{"without a proxy: plain HTTP, Host of a name that is not listed", "403", func() string { return plain(httpAddress, get("/mute/B1", w.mute("B1"))) }},
			{"without a proxy: plain HTTP, Host of the attacker's address", "403", func() string { return plain(httpAddress, get("/mute/B1", w.Upstream)) }},
		}
	}
	rows["B2"] = func(w *world) []variant {
		return []variant{
			{"CONNECT allowed, SNI evil", "tls", func() string { return through(w.Loud+":443", w.mute("B2"), get("/mute/B2", w.Loud)) }},
			{"CONNECT allowed, SNI of another allowed name", "tls", func() string { return through(w.Loud+":443", w.Auth, get("/mute/B2", w.Loud)) }},
			{"CONNECT evil, SNI and Host allowed", "403", func() string { return through(w.mute("B2")+":443", w.Loud, get("/mute/B2", w.Loud)) }},
			{"CONNECT allowed, no SNI", "tls|closed", func() string { return through(w.Loud+":443", "", get("/mute/B2", w.Loud)) }},
			{"CONNECT and SNI allowed, Host evil", "403", func() string { return through(w.Loud+":443", w.Loud, get("/mute/B2", w.mute("B2"))) }},
			{"CONNECT and SNI allowed, Host of another allowed name", "403", func() string { return through(w.Loud+":443", w.Loud, get("/mute/B2", w.Auth)) }},
			{"HTTP/2: :authority evil", "403", func() string { return streams(w.Loud, fields("GET", w.mute("B2"), "/mute/B2")) }},
			{"HTTP/2: :authority allowed, host field evil", "400", func() string {
				return streams(w.Loud, append(fields("GET", w.Loud, "/mute/B2"), [2]string{"host", w.mute("B2")}))
			}},
			{"without a proxy: SNI evil, Host allowed", "tls|closed", func() string { return unasked(w.mute("B2"), get("/mute/B2", w.Loud)) }},
			{"without a proxy: SNI allowed, Host evil", "403", func() string { return unasked(w.Loud, get("/mute/B2", w.mute("B2"))) }},
			{"the control: all of them equal", "200", func() string { return through(w.Loud+":443", w.Loud, get("/loud/B2", w.Loud)) }},
			{"the control: all of them equal, without a proxy", "200", func() string { return unasked(w.Loud, get("/loud/B2", w.Loud)) }},
		}
	}
	rows["B3"] = func(w *world) []variant {
		front := w.mute("B3") // served at the same address as w.Loud
		return []variant{
			{"fronting: SNI allowed, Host of a neighbour at the same address", "403", func() string { return through(w.Loud+":443", w.Loud, get("/mute/B3", front)) }},
			{"fronting by HTTP/2", "403", func() string { return streams(w.Loud, fields("GET", front, "/mute/B3")) }},
			{"fronting by a URL as target", "403", func() string { return through(w.Loud+":443", w.Loud, get("https://"+front+"/mute/B3", front)) }},
		}
	}
	// Once the policy has a tunnel.
	rows["B3-tunnel"] = func(w *world) []variant {
		return []variant{
			{"a tunnel with another SNI", "tls|closed|403", func() string { return through(w.Tunnel+":443", w.mute("B3"), get("/mute/B3", w.Tunnel)) }},
			{"a tunnel without SNI", "tls|closed|403", func() string { return through(w.Tunnel+":443", "", get("/mute/B3", w.Tunnel)) }},
			{"a tunnel that is not TLS", "403|closed|HTTP", func() string { return inside(w.Tunnel, get("/mute/B3", w.Tunnel)) }},
			{"the control: a tunnel to its own name", "200", func() string { return through(w.Tunnel+":443", w.Tunnel, get("/loud/B3", w.Tunnel)) }},
		}
	}
	rows["B4"] = func(w *world) []variant {
		var all []variant
		for _, target := range []string{w.Upstream + ":443", "192.0.2.1:443", "[2001:db8::1]:443", w.Gateway + ":443"} {
			all = append(all, variant{"CONNECT " + target, "403", func() string { _, said := connect(target); return said }})
		}
		return append(all, variant{"GET http://192.0.2.1/", "403", func() string { return explicit(get("http://192.0.2.1/mute/B4", "192.0.2.1")) }})
	}
	rows["B5"] = func(w *world) []variant {
		var all []variant
		for _, port := range []string{"22", "25", "53", "80", "444", "8443", "9418"} {
			want := "403"
			if port == "80" {
				want = "403|tls|closed" // the route is for plain HTTP
			}
			all = append(all, variant{"CONNECT to port " + port, want, func() string { return through(w.Loud+":"+port, w.Loud, get("/mute/B5", w.Loud)) }})
		}
		return append(all,
			variant{"SSH after CONNECT to 443", "HTTP/1.1 403", func() string { return inside(w.Loud, "SSH-2.0-OpenSSH_9.2\r\n") }},
			variant{"HTTP after CONNECT to 443", "HTTP/1.1 403", func() string { return inside(w.Loud, get("/mute/B5", w.Loud)) }},
			variant{"CONNECT inside a tunnel", "400|403", func() string {
				return through(w.Loud+":443", w.Loud, "CONNECT "+w.Auth+":443 HTTP/1.1\r\nHost: "+w.Auth+":443\r\n\r\n")
			}},
			variant{"TLS to the plain transparent port", "400|closed", func() string { return plain(httpAddress, "\x16\x03\x01\x00\x05hello") }},
			variant{"HTTP to the TLS transparent port", "400|403|closed", func() string { return plain(tlsAddress, get("/mute/B5", w.Loud)) }},
		)
	}
	rows["B7"] = func(w *world) []variant {
		all := []variant{
			{"ECH: outer name allowed, hidden name evil", "tls", func() string { return hidden(w.Loud, w.mute("B7")) }},
			{"the HTTPS record that ECH needs", "an empty answer", func() string { return query("udp", resolver, w.Loud, recordTypes["HTTPS"]) }},
		}
		for _, target := range []string{"127.0.0.53:443", "127.0.0.1:443", "192.0.2.1:443", w.Upstream + ":443"} {
			all = append(all, variant{"QUIC to " + target, noWay, func() string { return datagram(target, "\xc0\x00\x00\x00\x01\x08mute----mute----") }})
		}
		return all
	}
	rows["B8"] = func(w *world) []variant {
		on := func(first, second string) string {
			c, said := tunnel(w.Loud+":443", w.Loud)
			if c == nil {
				return said
			}
			defer c.Close()
			br := bufio.NewReader(c)
			for _, input := range []string{first, second} {
				if _, err := io.WriteString(c, strings.Replace(input, "Connection: close\r\n", "", 1)); err != nil {
					return failed(err)
				}
				said = answer(br)
			}
			return said
		}
		return []variant{
			{"a kept tunnel, then another host", "403", func() string { return on(get("/loud/B8", w.Loud), get("/mute/B8", w.Auth)) }},
			{"a kept tunnel, then the same host again", "200", func() string { return on(get("/loud/B8", w.Loud), get("/loud/B8", w.Loud)) }},
			{"a kept plain connection, then another host", "403", func() string {
				c, err := dial("tcp", proxyAddress)
				if err != nil {
					return failed(err)
				}
				defer c.Close()
				kept := strings.Replace(get("http://"+w.Loud+"/loud/B8", w.Loud), "Connection: close\r\n", "", 1)
				if _, err := io.WriteString(c, kept+get("http://"+w.mute("B8")+"/mute/B8", w.mute("B8"))); err != nil {
					return failed(err)
				}
				br := bufio.NewReader(c)
				if first := answer(br); !strings.HasPrefix(first, "200") {
					return "first " + first
				}
				return answer(br)
			}},
		}
	}
	rows["B9"] = func(w *world) []variant {
		return []variant{
			{"Host with another port", "403", func() string { return through(w.Loud+":443", w.Loud, get("/mute/B9", w.Loud+":8443")) }},
			{"Host with another port, plain", "400", func() string { return explicit(get("http://"+w.Loud+"/mute/B9", w.Loud+":8080")) }},
			{"a URL as target and another Host", "400", func() string { return through(w.Loud+":443", w.Loud, get("https://"+w.Loud+"/mute/B9", w.Auth)) }},
			{"a URL as target and another Host, plain", "400", func() string { return explicit(get("http://"+w.Loud+"/mute/B9", w.mute("B9"))) }},
			{"two Hosts", "400", func() string { return explicit(get("http://"+w.Loud+"/mute/B9", w.Loud, "Host: "+w.mute("B9"))) }},
			{"no Host", "400", func() string { return explicit("GET http://" + w.Loud + "/mute/B9 HTTP/1.1\r\n\r\n") }},
			{"user information in the target", "400", func() string { return explicit(get("http://"+w.Loud+"@"+w.mute("B9")+"/mute/B9", w.mute("B9"))) }},
			{"CONNECT with another Host", "400", func() string {
				return explicit("CONNECT " + w.Loud + ":443 HTTP/1.1\r\nHost: " + w.mute("B9") + "\r\n\r\n")
			}},
		}
	}
}

// inside sends bytes that are not TLS after a CONNECT that was granted.
func inside(host, input string) string {
	c, said := connect(host + ":443")
	if c == nil {
		return said
	}
	defer c.Close()
	if _, err := io.WriteString(c, input); err != nil {
		return failed(err)
	}
	said2, err := io.ReadAll(io.LimitReader(c, 4096))
	if len(said2) == 0 {
		return "closed"
	}
	return fmt.Sprint(short(string(said2)), err)
}

// hidden does TLS with a name encrypted for a key that nobody has.
func hidden(outer, inner string) string {
	c, said := connect(outer + ":443")
	if c == nil {
		return said
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return failed(err)
	}
	// ECHConfig of RFC 9849: one X25519 key, HKDF-SHA256 with AES-128-GCM.
	contents := append([]byte{1, 0, 0x20, 0, 32}, key.PublicKey().Bytes()...)
	contents = append(contents, 0, 4, 0, 1, 0, 1, 0, byte(len(outer)))
	contents = append(append(contents, outer...), 0, 0)
	config := binary.BigEndian.AppendUint16([]byte{0xfe, 0x0d}, uint16(len(contents)))
	config = append(config, contents...)
	t, said := handshake(c, &tls.Config{
		ServerName: inner, MinVersion: tls.VersionTLS13,
		EncryptedClientHelloConfigList: append(binary.BigEndian.AppendUint16(nil, uint16(len(config))), config...),
	})
	if t == nil {
		return said
	}
	defer t.Close()
	return exchange(t, get("/mute/B7", inner))
}

// datagram is heard where somebody answers.
func datagram(target, data string) string {
	c, err := dial("udp", target)
	if err != nil {
		return failed(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, data); err != nil {
		return failed(err)
	}
	b := make([]byte, 512)
	n, err := readSoon(c, b)
	if err != nil {
		return noWay + ": " + err.Error()
	}
	return "answered: " + short(string(b[:n]))
}
