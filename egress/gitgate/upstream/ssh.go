package upstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bb/egress/child"
)

// sshOptions are those that are the same for each run: no file of the machine,
// no question, no second way in, nothing handed on, and a dead line is noticed.
//
// The types of host keys are left to ssh: it asks for the pinned key's type
// first, accepts no other key either way, and tells a server that has none of
// that type as another key, which is what it is.
var sshOptions = []string{
	"BatchMode=yes", "ConnectTimeout=10", "ConnectionAttempts=1", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes",
	"GlobalKnownHostsFile=/dev/null", "UpdateHostKeys=no", "CheckHostIP=no", "VerifyHostKeyDNS=no",
	"NoHostAuthenticationForLocalhost=no", "CanonicalizeHostname=no", "PreferredAuthentications=publickey",
	"PubkeyAuthentication=yes", "PasswordAuthentication=no", "KbdInteractiveAuthentication=no",
	"HostbasedAuthentication=no", "GSSAPIAuthentication=no", "AddKeysToAgent=no", "ForwardAgent=no", "ForwardX11=no",
	"ClearAllForwardings=yes", "PermitLocalCommand=no", "ControlMaster=no", "ControlPath=none", "ProxyCommand=none",
	"RequestTTY=no", "EscapeChar=none", "TCPKeepAlive=yes", "ServerAliveInterval=5", "ServerAliveCountMax=2",
	"LogLevel=ERROR", // a server's banner is not shown
}

// openSSH serves the key to ssh for one run.
func (a *Access) openSSH(ctx context.Context, s *session, r Repo) error {
	program, err := child.Find("ssh")
	if err != nil {
		return &Failure{Kind: Other, Text: err.Error()}
	}
	host, err := publicKey(r.HostKey)
	if err != nil {
		return &Failure{Kind: HostKey, Text: s.target.where + " has no known_host_key of the form TYPE BASE64: " +
			"put the line that the server's administrator gives into the bottle's manifest"}
	}
	key, keyring, err := a.keys(ctx, r.Credential)
	if err != nil {
		return err
	}
	socket, end, err := serveAgent(filepath.Join(s.dir, "agent"), key, keyring)
	if err != nil {
		return &Failure{Kind: Other, Text: "the git gate cannot serve a key to ssh: " + cause(err)}
	}
	s.closers = append(s.closers, end)

	name := s.target.host
	if s.target.port != 22 || strings.Contains(name, ":") {
		name = fmt.Sprintf("[%s]:%d", s.target.host, s.target.port)
	}
	known, public := filepath.Join(s.dir, "known"), filepath.Join(s.dir, "key.pub")
	for path, text := range map[string]string{
		known:  name + " " + string(ssh.MarshalAuthorizedKey(host)),
		public: string(ssh.MarshalAuthorizedKey(key)),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return &Failure{Kind: Other, Text: "the git gate has no room for a run: " + cause(err)}
		}
	}
	args := []string{program, "-F", "/dev/null", "-T", "-a", "-x"}
	for _, o := range sshOptions {
		args = append(args, "-o", o)
	}
	for option, path := range map[string]string{"UserKnownHostsFile": known, "IdentityAgent": socket, "IdentityFile": public} {
		value, err := sshPath(path)
		if err != nil {
			return &Failure{Kind: Other, Text: err.Error()}
		}
		args = append(args, "-o", option+"="+value)
	}
	s.env = append(s.env, "GIT_SSH_COMMAND="+shell(args), "GIT_SSH_VARIANT=ssh")
	return nil
}

// publicKey reads "TYPE BASE64".
func publicKey(text string) (ssh.PublicKey, error) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return nil, errors.New("no public key")
	}
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(fields[0] + " " + fields[1]))
	if err != nil || len(rest) > 0 || key.Type() != fields[0] {
		return nil, errors.New("no public key")
	}
	return key, nil
}

// sshPath writes a path as a value of ssh_config(5).
func sshPath(path string) (string, error) {
	if strings.ContainsAny(path, "\"\\$~\n\r\t") {
		return "", errors.New("the git gate's directory has a name that ssh would misread")
	}
	return `"` + strings.ReplaceAll(path, "%", "%%") + `"`, nil
}

// shell joins arguments as words of sh.
func shell(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}
