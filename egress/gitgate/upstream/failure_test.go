package upstream

import (
	"strings"
	"testing"
	"unicode"
)

// Lines as programs of other versions write them than those that tests run.
func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lines string
		kind  Kind
		text  string
	}{
		{"ERROR: Repository not found.\nfatal: Could not read from remote repository.", Missing, ""},
		{"remote: Repository not found.\nfatal: repository 'https://h/r.git/' not found", Missing, ""},
		{"remote: ERROR: The project you were looking for could not be found or you don't have permission to view it.", Missing, ""},
		{"Gitea: Unauthorized\nfatal: Could not read from remote repository.", Permission, ""},
		{"remote: Permission to a/b.git denied to robot.\nfatal: unable to access 'https://h/': The requested URL returned error: 403", Permission, ""},
		{"fatal: unable to access 'https://h/': Failed to connect to h port 443: Connection refused", Unreachable, "connection refused"},
		{"fatal: unable to access 'https://h/': Failed to connect to h port 443 after 0 ms: Could not connect to server", Unreachable, "takes no connection"},
		{"fatal: unable to access 'https://h/': gnutls_handshake() failed: The TLS connection was non-properly terminated.", Unreachable, "closed"},
		{"fatal: unable to access 'https://h/': SSL certificate problem: self-signed certificate in certificate chain", HostKey, "certificate"},
		{"fatal: unable to access 'https://h/': SSL: no alternative certificate subject name matches target host name 'h'", HostKey, "certificate"},
		{"fatal: unable to access 'https://h/': server verification failed: certificate signer not trusted.", HostKey, "certificate"},
		{"fatal: unable to access 'https://h/': Received HTTP code 407 from proxy after CONNECT", Unreachable, "parent proxy refused"},
		{"fatal: unable to access 'https://h/': CONNECT tunnel failed, response 403", Unreachable, "parent proxy refused"},
		{"error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413\nfatal: the remote end hung up unexpectedly", Unreachable, "closed"},
		{"No RSA host key is known for h and you have requested strict checking.\nHost key verification failed.", HostKey, "host key"},
		{"To ssh://h/r\n ! [remote rejected] a -> a (atomic push failed)\n ! [remote rejected] b -> b (protected branch)", Rejected, "protected branch"},
		{"!\trefs/heads/a:refs/heads/a\t[rejected] (stale info)", Rejected, "stale info"},
		{"remote: certificate problem: Host key verification failed\n! [remote failure] a -> a (remote failed to report status)\nfatal: the remote end hung up unexpectedly", Unreachable, "closed"},
		{"fatal: bad object 123", Other, "git failed with h:22: bad object 123"},
		{"", Other, "did not say why"},
	} {
		var lines []string
		for _, line := range strings.Split(c.lines, "\n") {
			lines = append(lines, clean(line))
		}
		f := classify(lines, nil, target{where: "h:22"})
		if f.Kind != c.kind || !strings.Contains(f.Text, c.text) {
			t.Errorf("%q:\n got %s %q\nwant %s %q", c.lines, f.Kind, f.Text, c.kind, c.text)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"ssh://git@git.example.com/a/b.git":       "git.example.com:22",
		"ssh://git@git.example.com:2222/a":        "git.example.com:2222",
		"ssh://git@Git.example.com:2222/a":        "",
		"ssh://git.example.com/a":                 "",
		"ssh://git@git.example.com/%2Doption":     "",
		"ssh://git@git.example.com/a/%2e%2e/b":    "",
		"https://git.example.com//":               "",
		"https://git.example.com/a/b.git":         "git.example.com:443",
		"https://[2001:db8::1]:8443/a":            "[2001:db8::1]:8443",
		"https://user@git.example.com/a":          "",
		"https://user:pw@git.example.com/a":       "",
		"ssh://git:pw@git.example.com/a":          "",
		"ssh://-oProxyCommand=x/a":                "",
		"ssh://-l@git.example.com/a":              "",
		"ssh://git@git.example.com":               "",
		"ssh://git@$(id)/a":                       "",
		"ssh://git@a'b/a":                         "",
		"ext::sh -c id":                           "",
		"file:///etc":                             "",
		"http://git.example.com/a":                "",
		"git://git.example.com/a":                 "",
		"https://git.example.com/a?x":             "",
		"https://git.example.com/a\nhost=evil":    "",
		"https://git.example.com:99999/a":         "",
		"git@git.example.com:a/b.git":             "",
		"https://evil.example.com\\@git.test/a":   "",
		"https://git.example.com%0aevil.test/a/b": "",
	} {
		got, err := parse(raw)
		if got.where != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q %v, want %q", raw, got.where, err, want)
		}
	}
}

// Whatever a stranger writes: one clean, bounded line, without the secret, and
// nothing of his words in place of bb's.
func FuzzFailure(f *testing.F) {
	for _, seed := range []string{
		"remote: a\r\nremote: b\033[2J\n", " ! [remote rejected] a -> a (x)\n", "fatal: remote error: s3cret-token\n",
		"\xff\xfe\n", "remote: \u202e\u200b\u3164\n", "Counting objects: 50%\rCounting objects: 100%, done.\n",
		strings.Repeat("s3cret-token", 200) + "\n", "s3cret-token", "Host key verification failed.\r\n",
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, stderr, stdout []byte) {
		const secret, most = "s3cret-token", "s3cret-toke"
		// Most of it, in the server's own words, is no piece that was cut off here.
		own := strings.Contains(strings.ReplaceAll(string(stderr)+"\n"+string(stdout), secret, ""), most)
		told := 0
		w := newWatch(nil, []string{secret}, func(string) { told++ })
		for len(stderr) > 0 { // in pieces: a line may come in several
			n := min(7, len(stderr))
			_, _ = w.stderr().Write(stderr[:n])
			stderr = stderr[n:]
		}
		_, _ = w.stdout().Write(stdout)
		w.flush()
		failure := w.failure(target{where: "h:22"})
		if failure.Text == "" || failure.Kind == "" || len(failure.Said) > maxSaid || told != len(failure.Said) {
			t.Errorf("%+v, told %d", failure, told)
		}
		for _, line := range append(failure.Said, failure.Text) {
			if strings.Contains(line, secret) || strings.Contains(line, most) && !own {
				t.Errorf("the secret is in %q", line)
			}
			if len([]rune(line)) > maxText+200 {
				t.Errorf("%d runes", len([]rune(line)))
			}
			for _, r := range line {
				if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.M, r) {
					t.Errorf("%q in %q", r, line)
				}
			}
		}
	})
}
