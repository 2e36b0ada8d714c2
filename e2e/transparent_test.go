package e2e_test

import (
	"slices"
	"strings"
	"testing"
)

// TestProgramsThatIgnoreTheProxy runs programs without proxy variables in a
// real bottle: policy DNS leads them to the transparent ports, where the server
// name and Host decide.
func TestProgramsThatIgnoreTheProxy(t *testing.T) {
	id := random(6)
	allowed, denied, tunnel := "allowed-"+id+".test", "denied-"+id+".test", "tunnel-"+id+".test"
	u := newUpstream(t, allowed, denied, tunnel)
	h := newHome(t)
	h.bottle("open", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+
		u.route(allowed, "path_allowlist: [/ok]")+u.route(allowed, "port: 80")+u.route(tunnel, "tunnel: true"))
	agent := h.agent("worker", "open", "")
	h.must("plan").says(t, "not inspected")
	h.must("apply", "-y")
	bare := func(args ...string) result {
		t.Helper()
		env := []string{"exec", agent, "--", "env"}
		for _, name := range []string{"http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
			env = append(env, "-u", name)
		}
		return h.run(append(env, args...)...)
	}
	curl := func(args ...string) result {
		t.Helper()
		return bare(append([]string{"curl", "-sS", "--max-time", "10", "-w", " status=%{http_code} peer=%{remote_ip}"}, args...)...)
	}

	curl("https://"+allowed+"/ok").says(t, "status=200", "peer=127.0.0.53", `"host":"`+allowed+`"`)
	curl("http://"+allowed+"/plain").says(t, "status=200", "peer=127.0.0.53")
	curl("https://"+allowed+"/no").says(t, "status=403", "the path is not under those of the rule")
	curl("http://_egress.local/allowlist").says(t, "status=200", allowed)

	for _, name := range []string{
		denied, "x." + allowed, allowed + ".evil.test", "evil-" + allowed, strings.TrimSuffix(allowed, ".test"), "example.com",
	} {
		if r := bare("getent", "ahosts", name); r.code == 0 {
			t.Errorf("%s resolves: %s", name, r)
		}
	}
	if r := bare("getent", "ahosts", allowed); strings.Join(slices.Compact(firstFields(r.stdout)), " ") != "127.0.0.53" {
		t.Errorf("an allowed name leads to %s", r)
	}

	// Another server name or Host than the allowed one, by every way that curl has.
	pin := func(name string) []string {
		return []string{"--resolve", name + ":443:127.0.0.53", "--resolve", name + ":80:127.0.0.53"}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{append(pin(denied), "https://"+denied+"/"), "unrecognized name"},
		{append(pin(denied), "-k", "https://"+denied+"/"), "unrecognized name"},
		{append(pin(denied), "http://"+denied+"/"), "status=403"},
		{[]string{"--connect-to", denied + ":443:" + allowed + ":443", "https://" + denied + "/"}, "unrecognized name"},
		{[]string{"-H", "Host: " + denied, "https://" + allowed + "/ok"}, "status=403"},
		{[]string{"-H", "Host: " + denied, "http://" + allowed + "/"}, "status=403"},
		{[]string{"-H", "Host:", "http://" + allowed + "/"}, "status=400"},
		{[]string{"-H", "Host: " + allowed + ":8081", "http://" + allowed + "/"}, "status=403"},
		{[]string{"-k", "https://127.0.0.53/"}, "unrecognized name"},
		{[]string{"http://127.0.0.53/"}, "status=403"},
		{[]string{"http://" + allowed + ":443/"}, "status=400"},
		{[]string{"--proxy", "http://127.0.0.53:80", "--proxytunnel", "http://" + denied + "/"}, "400"},
	} {
		r := curl(c.args...)
		r.says(t, c.want)
		if strings.Contains(r.all(), "status=200") {
			t.Errorf("got out: %s", r)
		}
	}

	// A tunnel shows the certificate of the outside, on both ways in.
	for name, run := range map[string]func(...string) result{
		"transparent": curl,
		"proxy": func(args ...string) result {
			return h.run(append([]string{"exec", agent, "--", "curl", "-sS", "--max-time", "10", "-w", " status=%{http_code}"}, args...)...)
		},
	} {
		run("-v", "-k", "https://"+tunnel+"/deep").says(t, "status=200", "CN=upstream test authority")
		if r := run("-v", "https://"+allowed+"/ok"); strings.Contains(r.all(), "upstream test authority") {
			t.Errorf("%s: what is looked into shows the outside's certificate: %s", name, r)
		}
		run("http://"+tunnel+"/").says(t, "status=403")
		if r := run("-k", "--connect-to", denied+":443:"+tunnel+":443", "https://"+denied+"/"); strings.Contains(r.all(), "status=200") {
			t.Errorf("%s: a tunnel takes another name: %s", name, r)
		}
	}
	for _, s := range u.seen() {
		if strings.HasPrefix(s.Host, denied) || s.Path == "/no" || s.Path == "/" {
			t.Errorf("the outside saw %s %s%s", s.Method, s.Host, s.Path)
		}
	}
}

func firstFields(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 0 {
			out = append(out, f[0])
		}
	}
	return out
}
