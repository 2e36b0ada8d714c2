//go:build linux

package main

import (
	"fmt"
	"strings"
)

func init() {
	rows["C1"] = func(w *world) []variant {
		post := func(target string, headers ...string) string {
			return "POST " + target + " HTTP/1.1\r\nHost: " + w.Loud + "\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
		}
		smuggled := get("/mute/C1-hidden", w.Loud)
		inputs := map[string]func(target string) string{
			"CL.TE": func(t string) string {
				return post(t, "Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\n" + smuggled
			},
			"TE.CL": func(t string) string {
				return post(t, "Transfer-Encoding: chunked", "Content-Length: 4") + "0\r\n\r\n" + smuggled
			},
			"two lengths":                func(t string) string { return post(t, "Content-Length: 0", "Content-Length: 5") + smuggled },
			"one length, twice":          func(t string) string { return post(t, "Content-Length: 4", "Content-Length: 4") + "aaaa" + smuggled },
			"lengths in a list":          func(t string) string { return post(t, "Content-Length: 4, 4") + "aaaa" + smuggled },
			"a signed length":            func(t string) string { return post(t, "Content-Length: +4") + "aaaa" + smuggled },
			"an unknown transfer coding": func(t string) string { return post(t, "Transfer-Encoding: xchunked") + smuggled },
			"two transfer codings": func(t string) string {
				return post(t, "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\n" + smuggled
			},
			"a space before the colon": func(t string) string {
				return post(t, "Transfer-Encoding : chunked", "Content-Length: 5") + "0\r\n\r\n" + smuggled
			},
			"a folded line": func(t string) string { return post(t, "X: a", " Transfer-Encoding: chunked") + smuggled },
			"a bare line feed": func(t string) string {
				return post(t, "X: a\nTransfer-Encoding: chunked", "Content-Length: 0") + smuggled
			},
			"a look-alike": func(t string) string {
				return post(t, "Transfer_Encoding: chunked", "Content-Length: 5") + "0\r\n\r\n" + smuggled
			},
			"a chunk extension": func(t string) string {
				return post(t, "Transfer-Encoding: chunked") + "5;a=\n1\r\nhello\r\n0\r\n\r\n" + smuggled
			},
			"a chunk without its end": func(t string) string {
				return post(t, "Transfer-Encoding: chunked") + "2\r\nabc\r\n0\r\n\r\n" + smuggled
			},
			"a huge chunk size": func(t string) string {
				return post(t, "Transfer-Encoding: chunked") + "fffffffffffffffff1\r\na" + smuggled
			},
			"HTTP/1.0 with chunks": func(t string) string {
				return strings.Replace(post(t, "Transfer-Encoding: chunked"), "HTTP/1.1", "HTTP/1.0", 1) + "0\r\n\r\n" + smuggled
			},
		}
		var all []variant
		for name, input := range inputs {
			all = append(all,
				variant{name + ", plain", "400", func() string { return explicit(input("http://" + w.Loud + "/mute/C1")) }},
				variant{name + ", in a tunnel", "400", func() string { return through(w.Loud+":443", w.Loud, input("/mute/C1")) }},
				variant{name + ", without a proxy", "400", func() string { return plain(httpAddress, input("/mute/C1")) }})
		}
		return all
	}
	paths := map[string]string{
		"/public/../mute-secret": "400", "/public/%2e%2e/mute-secret": "400", "/public%2f..%2fmute-secret": "400", "/public/..;x/mute-secret": "400",
		"/public/%252e%252e/mute-secret": "400", "/public/mute%00": "400", "/public//mute": "400", "/public\\..\\mute": "400", "/public/./mute": "400",
		"/public/%c0%ae%c0%ae/mute": "400", "/public/%5c..%5cmute": "400", "/public/%EF%BC%8E%EF%BC%8E/mute": "400", "/public/mute%3f": "400",
		"/mute-secret": "403", "/publicity/mute": "403", "/PUBLIC/mute": "403", "/": "403",
	}
	rows["C2"] = func(w *world) []variant {
		all := []variant{
			{"the control: a path under the rule", "200", func() string { return through(w.Paths+":443", w.Paths, get("/public/loud/C2", w.Paths)) }},
			{"another method", "403", func() string { return through(w.Paths+":443", w.Paths, request("POST", "/public/mute", w.Paths, "x")) }},
			{"another method, overridden by a header", "403", func() string {
				return through(w.Paths+":443", w.Paths, request("DELETE", "/public/mute", w.Paths, "", "X-HTTP-Method-Override: GET"))
			}},
		}
		for path, want := range paths {
			all = append(all,
				variant{path + ", in a tunnel", want, func() string { return through(w.Paths+":443", w.Paths, get(path, w.Paths)) }},
				variant{path + ", without a proxy", want, func() string { return unasked(w.Paths, get(path, w.Paths)) }})
		}
		return all
	}
	rows["C3"] = func(w *world) []variant {
		all := []variant{{"the control: a path under the rule, in absolute form", "200", func() string {
			return explicit(get("http://"+w.Paths+"/public/loud/C3", w.Paths))
		}}}
		for path, want := range paths {
			all = append(all,
				variant{path + ", in absolute form", want, func() string { return explicit(get("http://"+w.Paths+path, w.Paths)) }},
				variant{path + ", in absolute form in a tunnel", want, func() string { return through(w.Paths+":443", w.Paths, get("https://"+w.Paths+path, w.Paths)) }},
				variant{path + ", plain without a proxy", want, func() string { return plain(httpAddress, get(path, w.Paths)) }})
		}
		return all
	}
	rows["C4"] = func(w *world) []variant {
		var all []variant
		for n, h := range []string{"X-Stolen-Hop", "X-Stolen-Hop, Authorization", "Authorization", "close, X-Stolen-Hop"} {
			all = append(all, variant{"Connection: " + h, "200", func() string {
				var more []string
				if strings.Contains(h, "Hop") {
					more = []string{"X-Stolen-Hop: 1"}
				}
				head := strings.Replace(get(fmt.Sprintf("/loud/C4-%d", n), w.Auth, more...), "Connection: close", "Connection: "+h, 1)
				return through(w.Auth+":443", w.Auth, head)
			}})
		}
		return append(all, variant{"Connection: X-Stolen-Hop, Authorization on an upgrade", "101", func() string {
			s, said := upgrade(w.Socket, "/socket?loud-C4", "X-Stolen-Hop, Authorization, Upgrade", "X-Stolen-Hop: 1")
			if s != nil {
				_ = s.Close()
			}
			return said
		}})
	}
	// The redirect itself is allowed; a client that follows it asks again.
	rows["C6"] = func(w *world) []variant {
		follow := func(to string) string { return get("/redirect?row=C6&to="+to, w.Auth) }
		return []variant{
			{"a redirect to a host that is not listed is handed back", "302", func() string {
				return through(w.Auth+":443", w.Auth, follow("https://"+w.mute("C6")+"/mute/C6"))
			}},
			{"and its target is asked for", "403", func() string { return through(w.mute("C6")+":443", w.mute("C6"), get("/mute/C6", w.mute("C6"))) }},
			{"a redirect to another listed host: no credential goes along", "200", func() string {
				return through(w.Loud+":443", w.Loud, get("/loud/C6", w.Loud))
			}},
		}
	}
}
