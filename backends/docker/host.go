package docker

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/diag"
)

const defaultSocket = "unix:///var/run/docker.sock"

// address is where the engine is, and why bb looks there.
type address struct {
	scheme string // unix, tcp or ssh
	target string // unix: a path; tcp: host:port; ssh: empty
	base   string // tcp: a path that comes before every request's
	ssh    sshTarget
	tls    *tls.Config // tcp: nil means without
	text   string      // for people; never with a password
	from   string      // who chose it; "" means the caller
}

func (a address) String() string {
	if a.from == "" {
		return a.text
	}
	return a.text + " (" + a.from + ")"
}

// local reports whether paths of this machine mean the same to the engine.
func (a address) local() bool { return a.scheme == "unix" }

// patience is how long the engine may take to answer its first call: an ssh
// connection takes many round trips, and has a time limit of its own.
func (a address) patience() time.Duration {
	switch a.scheme {
	case "ssh":
		return 15 * time.Second
	case "tcp":
		return 5 * time.Second
	}
	return 2 * time.Second
}

// silent is the error for an engine that gives no answer.
func (a address) silent() error {
	return diag.Errorf("docker: the engine at %s does not answer within %s", a, a.patience()).
		WithHint("restart it, check the address, or point DOCKER_HOST at another")
}

// sshSetup is about what a new ssh connection costs, in round trips.
const sshSetup = 8

// width bounds how many of n short calls are under way at once. Over ssh each
// at once is a process with a connection of its own: it has to be worth it.
func (a address) width(n int) int {
	if a.scheme == "ssh" {
		return min(max(n/sshSetup, 1), 4)
	}
	return observers
}

// exposed says what is wrong with a connection that anybody can listen to or
// answer; "" means nothing.
func (a address) exposed() string {
	if a.scheme != "tcp" {
		return ""
	}
	host, _, _ := net.SplitHostPort(a.target)
	if ip := net.ParseIP(host); host == "localhost" || ip.IsLoopback() {
		return ""
	}
	switch {
	case a.tls == nil:
		return "has no TLS: whoever reaches that port is root there, and credentials cross the network in the clear"
	case a.tls.InsecureSkipVerify:
		return "has a certificate that is not verified: whoever answers in its place gets your credentials"
	}
	return ""
}

// locate finds the engine as the docker command does: what the caller names,
// DOCKER_HOST, DOCKER_CONTEXT, the current context, the default socket.
func locate(host string, getenv func(string) string) (address, error) {
	if host != "" {
		return fromEnv(host, "", getenv)
	}
	if host = getenv("DOCKER_HOST"); host != "" {
		return fromEnv(host, "DOCKER_HOST", getenv)
	}
	dir := configDir(getenv)
	name, from := getenv("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
	if name == "" {
		var err error
		if name, err = currentContext(dir); err != nil {
			return address{}, err
		}
		from = "current context"
	}
	if name != "" && name != "default" {
		return fromContext(dir, name, from+" "+name)
	}
	return parseAddress(defaultSocket, "default")
}

// fromEnv takes the TLS settings of the environment along, which belong to
// DOCKER_HOST and to no context.
func fromEnv(host, from string, getenv func(string) string) (address, error) {
	a, err := parseAddress(host, from)
	if err != nil || a.scheme != "tcp" {
		return a, err
	}
	verify, dir := getenv("DOCKER_TLS_VERIFY") != "", getenv("DOCKER_CERT_PATH")
	if !verify && dir == "" {
		return a, nil
	}
	m := tlsFiles(cmp.Or(dir, configDir(getenv)), !verify)
	m.needsCA = verify
	a.tls, err = m.config(a.target)
	if err == nil && a.tls == nil {
		err = diag.Errorf("docker: %s holds no ca.pem, cert.pem and key.pem", m.dir).
			WithHint("DOCKER_CERT_PATH names the directory of the certificates for %s", a.text)
	}
	return a, err
}

var (
	plainHost = regexp.MustCompile(`^[A-Za-z0-9_.:][A-Za-z0-9_.:%+-]*$`)
	plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_.+@-]+)+$`)
)

// parseAddress reads unix://PATH, tcp://HOST:PORT and ssh://[USER@]HOST[:PORT][/PATH].
// Errors do not repeat the text: a password may be in it.
func parseAddress(text, from string) (address, error) {
	wrong := func(why string) (address, error) {
		return address{}, diag.Errorf("docker: %s: %s", cmp.Or(from, "address of the engine"), why).
			WithHint("it is unix://PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT]; 'docker context ls' shows what docker knows")
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || rest == "" {
		return wrong("no address of an engine")
	}
	a := address{scheme: scheme, from: from, text: text}
	if scheme == "unix" {
		if a.target = rest; !filepath.IsAbs(rest) || guest.Printable(rest) != rest {
			return wrong("unix:// wants an absolute path")
		}
		return a, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return wrong("no address of an engine")
	}
	if _, has := u.User.Password(); has {
		return wrong("a password has no place in an address")
	}
	switch {
	case scheme != "tcp" && scheme != "ssh":
		return wrong("bb speaks unix://, tcp:// and ssh://")
	case !plainHost.MatchString(u.Hostname()):
		return wrong("no host that bb takes")
	case u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return wrong("an address ends with its path")
	case u.Path != "" && u.Path != "/" && !plainPath.MatchString(u.Path):
		return wrong("no path that bb takes")
	}
	path := strings.TrimSuffix(u.Path, "/")
	if scheme == "ssh" {
		a.ssh = sshTarget{user: u.User.Username(), host: u.Hostname(), port: u.Port(), socket: path, name: a.String()}
		if u.User != nil && !plainUser.MatchString(a.ssh.user) {
			return wrong("no user name that bb takes")
		}
		return a, nil
	}
	if u.User != nil {
		return wrong("tcp:// takes no user")
	}
	// 2375 and 2376 are the registered ports, but docker wants it said too.
	if u.Port() == "" {
		return wrong("tcp:// wants a port")
	}
	a.target, a.base = u.Host, path
	return a, nil
}
