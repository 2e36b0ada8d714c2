package host

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/bb/egress"
)

const passphrase = "open sesame, but longer"

// keygen makes a key with the real ssh-keygen and returns its path.
func keygen(t *testing.T, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "id")
	run(t, nil, "ssh-keygen", append([]string{"-q", "-C", "", "-f", path}, args...)...)
	return path
}

func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s (openssh-client is needed)", name, args, err, said.String())
	}
	return string(out)
}

// startAgent runs a real ssh-agent for the test and returns its socket.
func startAgent(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bb-agent") //nolint:usetesting // a socket path must be short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("ssh-agent: %v (openssh-client is needed)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	if _, err := out.Read(make([]byte, 1)); err != nil { // it says its socket once it listens
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", socket)
	return socket
}

// addKey gives a key to the agent, as a person with the passphrase would.
func addKey(t *testing.T, path string) {
	t.Helper()
	ask := filepath.Join(t.TempDir(), "ask")
	if err := os.WriteFile(ask, []byte("#!/bin/sh\necho '"+passphrase+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, []string{"SSH_ASKPASS=" + ask, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0"}, "ssh-add", "-q", path)
}

func publicOf(t *testing.T, path string) ssh.PublicKey {
	t.Helper()
	b, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestKeyIsItsTextAsItIs(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	for _, args := range [][]string{
		{"-t", "ed25519"},
		{"-t", "ecdsa", "-b", "256"},
		{"-t", "ecdsa", "-b", "521"},
		{"-t", "rsa", "-b", "2048"},
		{"-t", "rsa", "-b", "2048", "-m", "PEM"},
		{"-t", "ecdsa", "-m", "PEM"},
		{"-t", "rsa", "-b", "2048", "-m", "PKCS8"},
	} {
		path := keygen(t, append(args, "-N", "")...)
		for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			got, err := Key(t.Context(), path)
			want, _ := os.ReadFile(path)
			if err != nil || got != string(want) || egress.KindOf(got) != egress.CredentialKey {
				t.Errorf("%q %o: %v", args, mode, err)
			}
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestEncryptedKeyIsTheAgents(t *testing.T) {
	for name, args := range map[string][]string{
		"ed25519":          {"-t", "ed25519"},
		"rsa":              {"-t", "rsa", "-b", "2048"},
		"rsa, old PEM":     {"-t", "rsa", "-b", "2048", "-m", "PEM"},
		"ecdsa, PKCS8":     {"-t", "ecdsa", "-m", "PKCS8"},
		"ed25519 of bytes": {"-t", "ed25519", "-a", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SSH_AUTH_SOCK", "")
			path := keygen(t, append(args, "-N", passphrase)...)
			refused(t, path, "the key is encrypted and no ssh-agent has it: SSH_AUTH_SOCK is not set", "run 'ssh-add "+path+"'")
			socket := startAgent(t)
			refused(t, path, "the key is encrypted and no ssh-agent has it", "a deploy key")
			addKey(t, path)
			got, err := Key(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			public := publicOf(t, path)
			if want := egress.AgentCredential(public.Type(), public.Marshal()); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if err := egress.CheckCredential(got); err != nil {
				t.Error(err)
			}
			if err := os.Remove(socket); err != nil {
				t.Fatal(err)
			}
			refused(t, path, "the ssh-agent at SSH_AUTH_SOCK does not answer", "ssh-add")
		})
	}
}

// In the old forms nothing but PATH.pub says which key it is, and who could write
// to that could have another key of the agent lent.
func TestEncryptedKeyWithoutItsPublicHalf(t *testing.T) {
	path := keygen(t, "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", passphrase)
	startAgent(t)
	addKey(t, path)
	if err := os.Chmod(path+".pub", 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "nothing says what its public half is", "ssh-keygen -y")
	if err := os.Remove(path + ".pub"); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "nothing says what its public half is", "ssh-keygen -y")
}

// The public half in the file counts, not what lies beside it.
func TestClearHalfCountsFirst(t *testing.T) {
	path, other := keygen(t, "-t", "ed25519", "-N", passphrase), keygen(t, "-t", "ed25519", "-N", passphrase)
	startAgent(t)
	addKey(t, other)
	if err := os.Rename(other+".pub", path+".pub"); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "the key is encrypted and no ssh-agent has it", "ssh-add")
}

func TestKeysThatAreRefused(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	sound := keygen(t, "-t", "ed25519", "-N", "")
	text, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := write("open", string(text))
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(sound, link); err != nil {
		t.Fatal(err)
	}
	damaged := strings.Replace(string(text), "AAAA", "BBBB", 1)
	for name, c := range map[string]struct{ path, text, hint string }{
		"public":       {sound + ".pub", "it is the public key", "drop .pub: " + sound},
		"public named": {write("id", "ssh-ed25519 "+strings.Fields(read(t, sound+".pub"))[1]), "it is the public key", "name the private key beside it"},
		"mode":         {open, "its mode is 0640: others than its owner have access", "chmod 600 " + open},
		"link":         {link, "it is a symbolic link", "name the file itself"},
		"directory":    {filepath.Dir(sound), "it is a directory", "name the file in it"},
		"pipe":         {"/dev/null", "it is not a regular file", "name a private key"},
		"missing":      {sound + ".no", "no such file", "ssh-keygen -t ed25519 -f " + sound + ".no"},
		"putty":        {write("k.ppk", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n"), "in the form of PuTTY", "puttygen "},
		"small rsa":    {keygen(t, "-t", "rsa", "-b", "1024", "-N", ""), "an RSA key of 1024 bits", "ssh-keygen -t ed25519"},
		"small locked": {keygen(t, "-t", "rsa", "-b", "1024", "-N", passphrase), "an RSA key of 1024 bits", "ssh-keygen -t ed25519"},
		"dsa":          {write("dsa", dsaKey()), "a DSA key", "ssh-keygen -t ed25519"},
		"security key": {write("sk", securityKey()), "in a security key, which wants to be touched", "ssh-add"},
		"damaged":      {write("damaged", damaged), "no private key that can be read", "ssh-keygen -y -f"},
		"token":        {write("token", "0123456789abcdef"), "it holds no private key", "name a private key"},
		"short token":  {write("token", "0123"), "it holds no private key", "name a private key"},
		"agent's word": {write("word", egress.AgentCredential("ssh-ed25519", publicOf(t, sound).Marshal())), "it is the public key", "name the private key beside it"},
		"empty":        {write("empty", ""), "it holds no private key", "name a private key"},
		"two keys":     {write("two", string(text)+string(text)), "more in it than one key", "the private key alone"},
		"large":        {write("large", strings.Repeat("x", egress.MaxKey+1)), "larger than 64 KiB", "name a private key"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.path, c.text, c.hint) })
	}
}

// A security key whose agent waits for the touch can be lent.
func TestSecurityKeyIsTheAgents(t *testing.T) {
	startAgent(t)
	path := filepath.Join(t.TempDir(), "sk")
	if err := os.WriteFile(path, []byte(securityKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "in a security key", "ssh-add")
	addKey(t, path)
	got, err := Key(t.Context(), path)
	if err != nil || !strings.HasPrefix(got, "ssh-agent sk-ssh-ed25519@openssh.com ") {
		t.Errorf("%q, %v", got, err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// refused wants an error that says why and what next, and nothing of the key.
func refused(t *testing.T, path, text, hint string) {
	t.Helper()
	got, err := Key(t.Context(), path)
	if err == nil || got != "" {
		t.Fatalf("got a value, want an error about %q", text)
	}
	if !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), hint) {
		t.Errorf("error %q, want %q and %q in it", err, text, hint)
	}
	if b, _ := os.ReadFile(path); len(b) > 40 {
		for _, line := range strings.Split(string(b), "\n") {
			if len(line) > 20 && !strings.HasPrefix(line, "-----") && strings.Contains(err.Error(), line) {
				t.Errorf("error %q quotes the key", err)
			}
		}
	}
}
