package egress

import (
	"strings"
	"testing"
)

const testHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

func TestCheckRemotes(t *testing.T) {
	good := Remote{Name: "origin", Upstream: "ssh://git@git.example.com/a/b.git", HostKey: testHostKey, Slot: "GIT_CREDENTIAL_0"}
	upstream := func(s string) func(*Remote) {
		return func(r *Remote) {
			if r.Upstream = s; !strings.HasPrefix(s, "ssh://") {
				r.HostKey = ""
			}
		}
	}
	name := func(s string) func(*Remote) { return func(r *Remote) { r.Name = s } }
	hostKey := func(s string) func(*Remote) { return func(r *Remote) { r.HostKey = s } }
	for what, tt := range map[string]struct {
		change func(*Remote)
		want   string
	}{
		"good":           {func(*Remote) {}, ""},
		"port":           {upstream("ssh://git@git.example.com:2222/a/b.git"), ""},
		"named port":     {upstream("ssh://git@git.example.com:22/~me/b"), ""},
		"address":        {upstream("ssh://git@[2001:db8::1]:22/a"), ""},
		"https":          {upstream("https://git.example.com:8443/My%20Project/_git/b+c"), ""},
		"dotted name":    {name("a.b_c-d"), ""},
		"no name":        {name(""), "the name is not of letters"},
		"dash":           {name("-oX"), "the name is not of letters"},
		"up":             {name("../x"), "the name is not of letters"},
		"slash":          {name("a/b"), "the name is not of letters"},
		"line":           {name("a\nb"), "the name is not of letters"},
		"hidden":         {name(".git"), "the name is not of letters"},
		"ext":            {upstream("ext::sh -c x"), "neither ssh:// nor https://"},
		"http":           {upstream("http://git.example.com/a"), "neither ssh:// nor https://"},
		"file":           {upstream("/var/lib/bb/ca"), "neither ssh:// nor https://"},
		"case":           {upstream("HTTPS://git.example.com/a"), "neither ssh:// nor https://"},
		"no user":        {upstream("ssh://git.example.com/a"), "no user"},
		"option user":    {upstream("ssh://-oProxyCommand=x@git.example.com/a"), "no user"},
		"password":       {upstream("ssh://git:pw@git.example.com/a"), "no user"},
		"option host":    {upstream("ssh://git@-oProxyCommand=x/a"), "malformed host"},
		"host case":      {upstream("ssh://git@Git.example.com/a"), "canonical"},
		"user in https":  {upstream("https://me:pw@git.example.com/a"), "malformed host"},
		"port 0":         {upstream("ssh://git@git.example.com:0/a"), "malformed host"},
		"port 022":       {upstream("ssh://git@git.example.com:022/a"), "malformed host"},
		"bb's own":       {upstream("https://_egress.local/a"), "bb's own"},
		"no path":        {upstream("ssh://git@git.example.com"), "no path"},
		"empty path":     {upstream("ssh://git@git.example.com/"), "the path has"},
		"space":          {upstream("ssh://git@git.example.com/a b"), "the path has"},
		"line in path":   {upstream("ssh://git@git.example.com/a\nb"), "the path has"},
		"coded line":     {upstream("ssh://git@git.example.com/a%0ab"), "the path has"},
		"quote":          {upstream("ssh://git@git.example.com/a'b"), "the path has"},
		"query":          {upstream("https://git.example.com/a?b"), "the path has"},
		"fragment":       {upstream("https://git.example.com/a#b"), "the path has"},
		"dots":           {upstream("https://git.example.com/a/../b"), "a part of the path"},
		"dash path":      {upstream("ssh://git@git.example.com/-x"), "a part of the path"},
		"no host key":    {hostKey(""), "without host_key"},
		"two host keys":  {hostKey(testHostKey + "\n* " + testHostKey), "host_key is not"},
		"host in key":    {hostKey("* " + testHostKey), "host_key is not"},
		"marked key":     {hostKey("@cert-authority " + testHostKey), "host_key is not"},
		"other type":     {hostKey("ssh-rsa " + strings.Fields(testHostKey)[1]), "host_key is not"},
		"key for https":  {func(r *Remote) { r.Upstream = "https://git.example.com/a" }, "host_key is for ssh"},
		"slot of routes": {func(r *Remote) { r.Slot = "EGRESS_TOKEN_0" }, "slot is not named"},
		"no slot":        {func(r *Remote) { r.Slot = "" }, "slot is not named"},
		"pattern":        {func(r *Remote) { r.Push.Allow = []string{"refs/heads/\n"} }, "can match no ref that may be pushed"},
		"empty pattern":  {func(r *Remote) { r.Push.Protect = []string{""} }, "push.protect: \"\" is empty"},
	} {
		r := good
		tt.change(&r)
		err := CheckRemotes([]Remote{r})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", what, err, tt.want)
		}
	}
	if err := CheckRemotes([]Remote{good, good}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("twice: %v", err)
	}
	if err := CheckRemotes(make([]Remote, 65)); err == nil {
		t.Error("any number of remotes")
	}
}

func TestFits(t *testing.T) {
	const token, agent = "ghp_0123456789", "ssh-agent " + testHostKey
	for _, tt := range []struct {
		upstream, value string
		ok              bool
	}{
		{"ssh://git@h/a", agent, true},
		{"ssh://git@h/a", token, false},
		{"https://h/a", token, true},
		{"https://h/a", agent, false},
		{"https://h/a", "-----BEGIN OPENSSH PRIVATE KEY-----", false},
	} {
		if err := (Remote{Upstream: tt.upstream}).Fits(tt.value); (err == nil) != tt.ok {
			t.Errorf("%s with %.20s: %v", tt.upstream, tt.value, err)
		}
	}
}
