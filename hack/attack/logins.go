//go:build linux

package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

func newClient(host string) *tls.Config { return &tls.Config{ServerName: host} }

// Own logins of an agent: the outside must not see the word "stolen".
var ownLogins = []string{
	"Authorization: Bearer stolen-login", "Authorization: Basic c3RvbGVu", "X-Api-Key: stolen-login", "x_api_key: stolen-login", "Api-Key: stolen-login",
	"X-Goog-Api-Key: stolen-login", "Cookie: session=stolen-login", "Proxy-Authorization: Basic c3RvbGVu",
}

func init() {
	rows["D1"] = func(w *world) []variant {
		var all []variant
		for n, h := range ownLogins {
			all = append(all, variant{"the agent's own " + h, "200", func() string {
				return through(w.Auth+":443", w.Auth, get(fmt.Sprintf("/loud/D1-%d", n), w.Auth, h))
			}})
		}
		return append(all,
			variant{"own Authorization where the route has none", "200", func() string {
				return through(w.Loud+":443", w.Loud, get("/loud/D1-plain", w.Loud, "Authorization: Bearer stolen-login", "Proxy-Authorization: Bearer stolen-login"))
			}},
			variant{"own login by HTTP/2", "200", func() string {
				return streams(w.Auth, append(fields("GET", w.Auth, "/loud/D1-h2"), [2]string{"authorization", "Bearer stolen-login"}, [2]string{"x-api-key", "stolen-login"}))
			}},
			variant{"upload to a path that no rule has", "403", func() string {
				return through(w.Paths+":443", w.Paths, request("POST", "/v1/mute-files", w.Paths, "a file", "Authorization: Bearer stolen-login"))
			}})
	}
	rows["D2"] = func(w *world) []variant {
		var all []variant
		for _, r := range []string{"POST /gists?mute", "POST /repos/other/mute/issues", "PUT /npm/mute", "GET /public-mute/other", "POST /graphql?mute"} {
			method, path, _ := strings.Cut(r, " ")
			all = append(all, variant{r, "403", func() string { return through(w.Paths+":443", w.Paths, request(method, path, w.Paths, "")) }})
		}
		for _, r := range []string{
			"GET /mute.git/info/refs?service=git-receive-pack", "POST /mute.git/git-receive-pack",
			"GET /mute.git/info/refs?service=git-upload-pack", "GET /mute.git/info/refs?a=b&s%65rvice=git%2Dreceive-pack",
		} {
			method, path, _ := strings.Cut(r, " ")
			all = append(all, variant{r, "403", func() string { return through(w.Auth+":443", w.Auth, request(method, path, w.Auth, "")) }})
		}
		return all
	}
	// Who started this looks for the credential in everything that is printed.
	rows["D3"] = func(w *world) []variant {
		return []variant{
			{"an echo in body and header, Bearer", "redacted", echo(w.Auth)},
			{"an echo in body and header, Basic", "redacted", echo(w.Basic)},
			{"an echo in a WebSocket", "101 authorization: Bearer [redacted]|101 authorization: Bearer ****", func() string {
				s, said := upgrade(w.Socket, "/socket?loud-D3", "Upgrade")
				if s != nil {
					_ = s.Close()
				}
				fmt.Fprintln(os.Stderr, said)
				return said
			}},
			{"TRACE", "403", func() string { return through(w.Auth+":443", w.Auth, request("TRACE", "/mute/D3", w.Auth, "")) }},
		}
	}
	rows["D8"] = func(*world) []variant {
		return []variant{{"a login of the host among the files of the home", "nothing", func() string {
			var found []string
			for _, p := range []string{".codex/auth.json", ".claude/.credentials.json", ".config/gh/hosts.yml", ".git-credentials", ".netrc", ".npmrc", ".aws/credentials", ".ssh/id_*"} {
				m, _ := filepath.Glob(filepath.Join("/home/node", p)) // the patterns are well formed
				found = append(found, m...)
			}
			if len(found) > 0 {
				return fmt.Sprint(found)
			}
			return "nothing"
		}}}
	}
}

// echo asks a host to repeat what arrived, and looks for what stands in the
// place of the credential.
func echo(host string) func() string {
	return func() string {
		c, said := tunnel(host+":443", host)
		if c == nil {
			return said
		}
		defer c.Close()
		if _, err := io.WriteString(c, get("/loud/D3", host)); err != nil {
			return failed(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return failed(err)
		}
		text, err := io.ReadAll(res.Body)
		fmt.Fprintln(os.Stderr, string(text), res.Header)
		switch seen := res.Header.Get("X-Echo-Authorization"); {
		case err != nil:
			return failed(err)
		case !strings.Contains(seen, "[redacted]"):
			return "the header says " + short(seen)
		case !strings.Contains(string(text), "[redacted]") && !strings.Contains(string(text), "****"):
			return "the body says " + short(string(text))
		}
		return "redacted"
	}
}
