package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate/gittest"
)

func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := gittest.NewHTTPS(t, gittest.Options{})
	works(t, access(t), httpsRepo(s, "r"), gittest.NewRepo(t, s.Root, "r"))
	if s.Logins.Load() == 0 {
		t.Error("nobody logged in")
	}
}

// A token alone goes with a user that forges take for any.
func TestTokenAlone(t *testing.T) {
	t.Parallel()
	s := gittest.NewHTTPS(t, gittest.Options{})
	s.User = defaultUser
	r := httpsRepo(s, "r")
	r.Credential = s.Token
	gittest.NewRepo(t, s.Root, "r")
	if out, err := run(t, access(t), r, mirror(t).Dir, "ls-remote", r.URL); err != nil {
		t.Error(err, out)
	}
}

func TestHTTPSFailures(t *testing.T) {
	t.Parallel()
	status := func(code int) func(*gittest.HTTPS, *Repo) {
		return func(s *gittest.HTTPS, _ *Repo) { s.Fail(code) }
	}
	at := func(where string) func(*gittest.HTTPS, *Repo) {
		return func(_ *gittest.HTTPS, r *Repo) { r.URL = "https://" + where + "/r.git" }
	}
	for name, c := range map[string]struct {
		change func(*gittest.HTTPS, *Repo)
		kind   Kind
		text   string
	}{
		"refused":     {at("127.0.0.1:1"), Unreachable, "cannot reach 127.0.0.1:1: it takes no connection"},
		"unroutable":  {at("192.0.2.1"), Unreachable, "cannot reach 192.0.2.1:443: "},
		"no name":     {at("no-such-host.invalid"), Unreachable, "no-such-host.invalid:443: the name does not resolve"},
		"silent":      {at(gittest.Silent(t, "")), Unreachable, "no answer within 12s"},
		"hanging":     {func(s *gittest.HTTPS, _ *Repo) { s.Hang() }, Unreachable, "no answer within 12s"},
		"certificate": {func(_ *gittest.HTTPS, r *Repo) { r.Roots = "" }, HostKey, "its certificate is not signed by"},
		"wrong token": {func(_ *gittest.HTTPS, r *Repo) { r.Credential = "robot:wrong-token" }, Permission, "refused the credential"},
		"no token":    {func(_ *gittest.HTTPS, r *Repo) { r.Credential = "" }, Permission, "is empty"},
		"two lines":   {func(_ *gittest.HTTPS, r *Repo) { r.Credential = "a:b\nhost=c" }, Permission, "more than one line"},
		"401":         {status(401), Permission, "refused the credential"},
		"403":         {status(403), Permission, "refused the credential"},
		"404":         {status(404), Missing, "has no such repository"},
		"500":         {status(500), Unreachable, "it answers with error 500"},
		"503":         {status(503), Unreachable, "it answers with error 503"},
		"301":         {status(301), Missing, "answers with a redirect"},
		"307":         {status(307), Missing, "answers with a redirect"},
		"no repo":     {func(s *gittest.HTTPS, r *Repo) { r.URL = s.URL("other") }, Missing, "has no such repository"},
		"a page": {func(s *gittest.HTTPS, _ *Repo) {
			f := func(w http.ResponseWriter, _ *http.Request) bool {
				_, _ = io.WriteString(w, "<html>Permission denied (publickey). certificate problem</html>\n")
				return true
			}
			s.Answer.Store(&f)
		}, Missing, "has no such repository"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := gittest.NewHTTPS(t, gittest.Options{})
			gittest.NewRepo(t, s.Root, "r").Commit(t, "main", "first", map[string]string{"a": "a"})
			r := httpsRepo(s, "r")
			c.change(s, &r)
			a, m := access(t), mirror(t)
			fails(t, c.kind, c.text, func() error { _, err := run(t, a, r, m.Dir, "ls-remote", r.URL); return err })
		})
	}
}

// A redirect that ends well elsewhere is not followed, and no login goes there.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	s, other := gittest.NewHTTPS(t, gittest.Options{}), gittest.NewHTTPS(t, gittest.Options{})
	f := func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "https://"+other.Addr+r.URL.RequestURI(), http.StatusFound)
		return true
	}
	s.Answer.Store(&f)
	r := httpsRepo(s, "r")
	r.Roots += other.Roots
	fails(t, Missing, "redirect", func() error {
		_, err := run(t, access(t), r, mirror(t).Dir, "ls-remote", r.URL)
		return err
	})
	if other.Seen.Load() != 0 {
		t.Error("git went there")
	}
}

// A server that says what it was told gets no secret into what people read.
func TestEchoedLogin(t *testing.T) {
	t.Parallel()
	s := gittest.NewHTTPS(t, gittest.Options{})
	f := func(w http.ResponseWriter, r *http.Request) bool {
		_, token, ok := r.BasicAuth()
		if !ok {
			return false
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		text := "ERR " + strings.Repeat("x", 20) + token + " " + r.Header.Get("Authorization")
		_, _ = fmt.Fprintf(w, "001e# service=git-upload-pack\n0000%04x%s", len(text)+4, text)
		return true
	}
	s.Answer.Store(&f)
	r := httpsRepo(s, "r")
	a, m := access(t), mirror(t)
	_, err := run(t, a, r, m.Dir, "ls-remote", r.URL)
	var failure *Failure
	if !errors.As(err, &failure) || len(failure.Said) != 1 || strings.Count(failure.Said[0], "[credential]") != 2 {
		t.Fatalf("%v %+v", err, failure)
	}
	all := failure.Text + strings.Join(failure.Said, "")
	if strings.Contains(all, s.Token) || strings.Contains(all, base64.StdEncoding.EncodeToString([]byte(s.User+":"+s.Token))) {
		t.Errorf("the token is in %q", all)
	}
}

// parent is a company's proxy with a login.
func parent(t *testing.T, login string) (*egress.Parent, *[]string) {
	t.Helper()
	var mu sync.Mutex
	asked := &[]string{}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(login))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Proxy-Authorization") != want {
			w.Header().Set("Proxy-Authenticate", `Basic realm="company"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		*asked = append(*asked, r.Method+" "+r.Host)
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, from); to.Close() }()
		go func() { _, _ = io.Copy(from, to); from.Close() }()
	}))
	t.Cleanup(server.Close)
	return &egress.Parent{URL: server.URL}, asked
}

func TestParentProxy(t *testing.T) {
	t.Parallel()
	s := gittest.NewHTTPS(t, gittest.Options{})
	r := httpsRepo(s, "r")
	var asked *[]string
	r.Login = "me:pass word/1"
	r.Parent, asked = parent(t, r.Login)
	works(t, access(t), r, gittest.NewRepo(t, s.Root, "r"))
	if len(*asked) == 0 || (*asked)[0] != "CONNECT "+s.Addr {
		t.Errorf("the proxy was asked for %q", *asked)
	}
	r.Login = "me:wrong"
	fails(t, Unreachable, "the parent proxy refused", func() error {
		_, err := run(t, access(t), r, mirror(t).Dir, "ls-remote", r.URL)
		return err
	})
}

func TestUpload(t *testing.T) {
	t.Parallel()
	s := gittest.NewHTTPS(t, gittest.Options{})
	f := func(_ http.ResponseWriter, r *http.Request) bool { // after the pack was sent
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "receive-pack") {
			<-r.Context().Done()
			return true
		}
		return false
	}
	gittest.NewRepo(t, s.Root, "r")
	s.Answer.Store(&f)
	a, m, r := access(t), mirror(t), httpsRepo(s, "r")
	m.Commit(t, "main", "first", map[string]string{"a": "a"})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	fails(t, Unreachable, "it fell silent for 5s", func() error {
		return a.Run(ctx, r, Command{GitDir: m.Dir, Args: []string{"push", "--progress", r.URL, "refs/heads/main"}, Patience: 5 * time.Second})
	})
}
