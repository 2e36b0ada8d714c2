package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCredentialsFromFilesAndCommands brings tokens of a file and a command to
// an upstream as Basic, as a parameter and in a header of its own, from a real
// bottle. Neither what the agent sends in their place arrives, nor does the
// agent see them; a new value in the file is noticed.
func TestCredentialsFromFilesAndCommands(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "basic.example.com", "query.example.com", "header.example.com")
	h := newHome(t)
	dir := t.TempDir()
	value := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	basic, key, third := "user:pass/"+random(12), "key+&="+random(12), "third-"+random(12)
	file, command := value("basic", basic), value("header", third)
	keyFile := value("query", key)
	h.bottle("dev", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+
		u.route("basic.example.com", "auth: {scheme: Basic, token_ref: 'file:"+file+"'}")+
		u.route("query.example.com", "auth: {scheme: raw, token_ref: 'file:"+keyFile+"', query: api-key}")+
		u.route("header.example.com", "auth: {scheme: token, token_ref: {command: [cat, "+command+"]}, header: X-Service-Key}"))
	agent := h.agent("auth", "dev", "")

	plan := h.must("plan")
	plan.says(t, "auth Basic file "+file, "auth raw file "+keyFile, "auth token command cat (1 argument)")
	if strings.Contains(plan.all(), command) {
		t.Errorf("the plan shows a command's argument: %s", plan)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	h.must("plan").says(t, "its mode is 0640", "apply will stop here", "chmod 600 "+file)
	h.fails("apply", "-y").says(t, "its mode is 0640", "chmod 600 "+file)
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	h.must("apply", "-y")
	h.settled()

	arrives := func(basic string) {
		t.Helper()
		before := len(u.seen())
		said := ""
		for _, args := range [][]string{
			{"-u", "mine:mine", "https://basic.example.com/x"},
			{"https://query.example.com/x?a=1&api-key=mine&api%2Dkey=mine&b=2"},
			{"-H", "X-Service-Key: mine", "https://header.example.com/x"},
		} {
			said += h.must(append([]string{"exec", agent, "--", "curl", "-sS", "--fail", "-H", "X-Own: kept"}, args...)...).all()
		}
		got := map[string]seen{}
		for _, s := range u.seen()[before:] {
			got[s.Host] = s
		}
		if want := "Basic " + base64.StdEncoding.EncodeToString([]byte(basic)); got["basic.example.com"].Authorization != want {
			t.Errorf("basic: %+v, want %s", got["basic.example.com"], want)
		}
		if want := "/x?a=1&b=2&api-key=" + url.QueryEscape(key); got["query.example.com"].Path != want {
			t.Errorf("query: %q, want %q", got["query.example.com"].Path, want)
		}
		if want := "[token " + third + "]"; fmt.Sprint(got["header.example.com"].Header["X-Service-Key"]) != want {
			t.Errorf("header: %v, want %s", got["header.example.com"].Header["X-Service-Key"], want)
		}
		for host, s := range got {
			if strings.Contains(s.Path+fmt.Sprint(s.Header), "mine") || fmt.Sprint(s.Header["X-Own"]) != "[kept]" {
				t.Errorf("%s got of the agent's own: %+v", host, s)
			}
		}
		for _, form := range []string{basic, base64.StdEncoding.EncodeToString([]byte(basic)), key, url.QueryEscape(key), third} {
			if strings.Contains(said, form) {
				t.Errorf("the agent saw %q in %s", form, said)
			}
		}
		if !strings.Contains(said, "X-Own") {
			t.Errorf("the upstream's echo did not come: %s", said)
		}
	}
	arrives(basic)
	for _, v := range []string{basic, key, third} {
		if found, _ := search(t, containerOf(t, agent, false), v); len(found[0]) > 0 {
			t.Errorf("the bottle holds %q: %v", v, found)
		}
		absentBelow(t, h.dir, v)
	}

	next := "user:next/" + random(12)
	value("basic", next)
	h.must("plan").says(t, "token file "+file)
	h.must("apply", "-y").says(t, "1 updated")
	arrives(next)
	third = "fresh-" + random(12)
	value("header", third)
	h.settled() // a plan runs no command
	h.must("apply", "-y", "--refresh-tokens").says(t, "1 updated")
	arrives(next)
}
