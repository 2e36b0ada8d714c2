package upstream

import (
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// bundles are where systems keep the roots that programs trust.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

// defaultUser goes with a token alone: forges look at the token only.
const defaultUser = "x-access-token"

// openHTTPS makes the token reachable for git for one run, by asking.
func (a *Access) openHTTPS(s *session, r Repo) error {
	user, token, named := strings.Cut(r.Credential, ":")
	if !named {
		user, token = defaultUser, r.Credential
	}
	if token == "" || strings.ContainsAny(r.Credential, "\r\n\x00") {
		return &Failure{Kind: Permission, Text: "the token of this remote is empty, or of more than one line: set the variable that its token_ref names"}
	}
	logins := map[string]login{"https://" + s.target.where: {user, token}}
	s.addSecrets(user, token)
	for _, kv := range [][2]string{
		{"http.followRedirects", "false"},
		{"http.emptyAuth", "false"},
		{"http.sslVerify", "true"},
		{"http.saveCookies", "false"},
		{"http.cookieFile", ""},
		{"http.extraHeader", ""},
		{"http.userAgent", "git/2"},
		{"http.lowSpeedLimit", "1"},
		{"http.lowSpeedTime", strconv.Itoa(int(maxPatience.Seconds()))},
		{"http.proxy", ""},
		{"http.proxyAuthMethod", "basic"},
		{"http.delegation", "none"},
	} {
		s.set(kv[0], kv[1])
	}
	if err := s.proxy(r, logins); err != nil {
		return err
	}
	if err := s.trust(r.Roots); err != nil {
		return err
	}
	link := filepath.Join(s.dir, askName)
	if err := os.Symlink(a.Self, link); err != nil {
		return &Failure{Kind: Other, Text: "the git gate has no room for a run: " + cause(err)}
	}
	end, err := s.answer(logins)
	if err != nil {
		return &Failure{Kind: Other, Text: "the git gate cannot tell git a password: " + cause(err)}
	}
	s.closers = append(s.closers, end)
	s.env = append(s.env, "GIT_ASKPASS="+link)
	return nil
}

// addSecrets keeps a login out of texts, in the forms in which a server that
// echoes requests could show it.
func (s *session) addSecrets(user, secret string) {
	pair := []byte(user + ":" + secret)
	s.secrets = append(
		s.secrets, secret, url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString(pair), base64.URLEncoding.EncodeToString(pair),
		base64.StdEncoding.EncodeToString([]byte(secret)),
	)
}

func (s *session) proxy(r Repo, logins map[string]login) error {
	if r.Parent == nil {
		return nil
	}
	u, err := url.Parse(r.Parent.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return &Failure{Kind: Other, Text: "the parent proxy has an address that is no http://HOST:PORT"}
	}
	if u.Port() == "" {
		u.Host += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	u.Path = ""
	if r.Login != "" {
		user, password, _ := strings.Cut(r.Login, ":")
		logins[u.Scheme+"://"+strings.ToLower(u.Host)] = login{user, password}
		s.addSecrets(user, password)
		u.User = url.User(user)
	}
	s.set("http.proxy", u.String())
	return nil
}

// trust writes the system's roots and the repository's own as one file, which
// takes the place of what git trusts.
func (s *session) trust(roots string) error {
	if roots == "" {
		return nil
	}
	var all []byte
	for _, path := range bundles {
		if b, err := os.ReadFile(path); err == nil {
			all = append(b, '\n')
			break
		}
	}
	path := filepath.Join(s.dir, "roots.pem")
	if err := os.WriteFile(path, append(all, roots...), 0o600); err != nil {
		return &Failure{Kind: Other, Text: "the git gate has no room for a run: " + cause(err)}
	}
	s.set("http.sslCAInfo", path)
	s.set("http.proxySSLCAInfo", path)
	return nil
}
