package e2e_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// watchNames are the captures: one in the network namespace of the attacker's
// sidecar, where every packet of it passes, and one in this host's, where the
// engine would ask a resolver in its place.
func (a *attacked) watchNames() (sidecar, host string) { return "watch-" + a.id, "watchhost-" + a.id }

func (a *attacked) watches() {
	sidecar, host := a.watchNames()
	loud, mute := a.host("loud"), "mute-"+a.id
	watch(a.t, sidecar, "container:"+a.on.sidecar(a.agent), "-flows", "-marker", loud, "-marker", mute)
	watch(a.t, host, "host", "-marker", loud, "-marker", mute)
	plain := docker(a.t, "run", "--rm", "--network", a.u.network, probeImage,
		"escape", "-tcp", net.JoinHostPort(a.u.gateway, a.ear.port), "-udp", net.JoinHostPort(a.u.gateway, a.ear.port))
	heard := a.ear.heard()
	a.judge("E4", "the control: a plain container reaches listeners of this host", "heard", fmt.Sprint(len(heard), " times"), plain != "" && len(heard) >= 2)
	a.ear.forget()
}

// judgeWatches holds every packet of the sidecar against what was allowed.
func (a *attacked) judgeWatches() {
	watch, host := a.watchNames()
	outside, own := address(a.t, a.u.name), address(a.t, a.on.sidecar(a.agent))
	seen := parse(a.t, docker(a.t, "logs", watch))
	allowed := map[string]bool{"payload.wild-" + a.id + ".test": false}
	for _, role := range []string{"loud", "auth", "basic", "paths", "socket", "gone", "private", "tunnel", "leak"} {
		allowed[a.host(role)] = true
	}
	var asked, questions, places []string
	for _, one := range seen {
		switch one.Attempt {
		case "question":
			if questions = append(questions, one.Target); !allowed[one.Target] {
				asked = append(asked, one.Target)
			}
		case "flow":
			if !expectedFlow(one.Target, outside, own) {
				places = append(places, one.Target)
			}
		}
	}
	a.judge("A1", "every name that the sidecar asked for, on its own network", "listed names only", fmt.Sprintf("%d names, others: %v", len(questions), asked),
		len(asked) == 0 && slices.Contains(questions, a.host("loud")))
	for _, row := range []string{"A2", "E1", "E3", "E4", "E6"} {
		a.judge(row, "every place that packets of the sidecar went to", "the upstream, its own resolver", fmt.Sprintf("others: %v", places), len(places) == 0)
	}
	silent := func(name, where string) {
		packets := map[string]int{}
		for _, one := range parse(a.t, docker(a.t, "logs", name)) {
			if one.Attempt == "sniff" {
				packets[one.Target]++
			}
		}
		a.judge("A1", "packets with a name that is not listed, "+where, "0, and some with a listed one",
			fmt.Sprintf("%d, and %d", packets["mute-"+a.id], packets[a.host("loud")]), packets["mute-"+a.id] == 0 && packets[a.host("loud")] > 0)
	}
	silent(watch, "of the sidecar")
	silent(host, "of this host")
	heard := a.ear.heard()
	a.judge("E4", "what listeners of this host heard", "nothing", fmt.Sprint(len(heard), " ", heard), len(heard) == 0)
}

// expectedFlow reports whether a packet may go there: to the upstream, back to
// the sidecar, to the engine's resolver on the sidecar's own loopback. The
// kernel itself greets neighbours by IPv6 and IGMP.
func expectedFlow(flow, outside, own string) bool {
	kind, to, _ := strings.Cut(flow, " ")
	host, port, _ := strings.Cut(to, ":")
	switch {
	case kind == "tcp" && host == outside:
		return port == "443" || port == "80"
	case host == own, host == "127.0.0.1": // answers come back
		return port == "client"
	case host == "127.0.0.11":
		return true
	}
	return kind == "ip6-58" && strings.HasPrefix(to, "ff02:") || kind == "ip6-0" && strings.HasPrefix(to, "ff02:") || kind == "ip-2"
}

// judgeUpstream reads what arrived outside: nothing that must not, no login
// of the agent, a credential where it belongs and nowhere else.
func (a *attacked) judgeUpstream() {
	loud := map[string]int{}
	for _, s := range a.u.seen() {
		where := s.Method + " " + s.Host + s.Path
		headers := fmt.Sprint(s.Header)
		row := rowOf(s.Path + " " + s.Host)
		quiet := !strings.HasPrefix(s.Path, "/redirect?") && strings.Contains(s.Host+s.Path, "mute") || !strings.Contains(s.Path, "loud") && !strings.HasPrefix(s.Path, "/redirect?")
		marked := slices.ContainsFunc(s.Marks, func(m string) bool { return strings.HasPrefix(m, "mark-mute") })
		want := map[string]string{
			a.host("auth"): "Bearer " + a.token, a.host("socket"): "Bearer " + a.token,
			a.host("basic"): "Basic " + base64.StdEncoding.EncodeToString([]byte("x-access-token:"+a.token)),
		}[s.Host]
		switch {
		case quiet:
			a.judge(row, "what arrived outside", "nothing of it", where, false)
		case s.Host != a.host("leak") && (holds(headers, a.leak) || holds(s.Path, a.leak)):
			a.judge("C7", "what arrived outside with the secret", "nothing", where+" "+headers, false)
		case marked || strings.HasPrefix(s.Method, "FRAME 0xc") || strings.HasPrefix(s.Method, "FRAME 0x4"):
			a.judge("C5", "what arrived outside of a frame", "nothing of it", fmt.Sprint(where, s.Marks), false)
		case strings.Contains(strings.ToLower(headers), "stolen"), strings.Contains(headers, "c3RvbGVu"):
			if row = "D1"; strings.Contains(headers, "X-Stolen-Hop") {
				row = "C4"
			}
			a.judge(row, "what arrived outside", "nothing of the agent's", where+" "+headers, false)
		case s.Authorization != want && s.Host != a.host("basic"), s.Host == a.host("basic") && !strings.HasPrefix(s.Authorization, "Basic "):
			a.judge("C6", "the login that arrived outside", "the route's own, and nowhere else", where+" "+s.Authorization, false)
		default:
			loud[row]++
		}
	}
	for _, row := range []string{"A6", "B2", "B6", "B8", "C2", "C3", "C4", "C5", "C6", "C7", "D1", "D3", "D4", "D9", "E1", "E10"} {
		if row == "D4" && a.spender == "" { // its control is among what costs
			continue
		}
		a.judge(row, "the control: what may arrive of this row", "at least one request", fmt.Sprint(loud[row], " requests"), loud[row] > 0)
	}
}

// rowOf finds the row's name in a path or host of an attack: "loud-C5",
// "/mute/C1-hidden", "c6.mute-".
func rowOf(text string) string {
	words := strings.FieldsFunc(strings.ToUpper(text), func(r rune) bool { return strings.ContainsRune("/-?=& .", r) })
	for _, w := range words {
		if _, ok := attackRows[w]; ok {
			return w
		}
	}
	return "E1" // where nothing says more: it got out
}

// listens has the bottle listen, and this host look for it (attack E8).
func (a *attacked) listens() {
	const port = "18099"
	listening := start(a.t, a.h, a.agent, "", a.program, "listen", "0.0.0.0:"+port)
	eventually(a.t, "the bottle listens", func() bool { return strings.Contains(listening.out.String(), "listening") })
	var reached []string
	for _, ip := range append(hostAddresses(a.t), "127.0.0.1") {
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(ip, port), time.Second); err == nil {
			c.Close()
			reached = append(reached, ip)
		}
	}
	a.judge("E8", "a listener on every address of the bottle, looked for on this host", "none", fmt.Sprint("reached at ", reached), len(reached) == 0)
	inside := a.h.run("exec", a.agent, "--", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/"+port)
	a.judge("E8", "the control: the same from inside", "reached", lastLine(inside.all()), inside.code == 0)
	other := a.h.run("exec", a.neighbour, "--", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/"+port)
	a.judge("E8", "the same port on a neighbour's loopback", "refused", lastLine(other.all()), other.code != 0)
	for _, agent := range []string{a.agent, a.neighbour} {
		ports := a.on.listens(agent)
		a.judge("E4", "listeners of a sidecar that its network could reach", "none", fmt.Sprint(ports), len(ports) == 0)
	}
}

// secrets looks for what must stay out of the bottle, and out of what it said.
func (a *attacked) secrets() {
	found, processes := a.on.search(a.agent, a.token, "host-only-"+a.id)
	a.judge("D7", fmt.Sprintf("the credential in files and memory of the bottle, %d processes", processes), "nowhere", fmt.Sprint(found[0]), len(found[0]) == 0 && processes > 0)
	a.judge("D8", "the host's own login in files and memory of the bottle", "nowhere", fmt.Sprint(found[1]), len(found[1]) == 0)
	records := a.on.records(a.agent)
	a.judge("D7", "the credential in the engine's records, logs and arguments", "nowhere", fmt.Sprint(len(records), " bytes read"), !holds(records, a.token) && records != "")
	said := a.said.String()
	a.judge("D3", "the credential in what attacks got to see", "nowhere", fmt.Sprint(len(said), " bytes read"), !holds(said, a.token) && strings.Contains(said, "[redacted]"))
}

// holds looks for a value in the forms that texts have it in.
func holds(text, value string) bool {
	for shift := range 3 {
		b := strings.TrimRight(base64.StdEncoding.EncodeToString(append(make([]byte, shift), value...)), "=")
		if strings.Contains(text, b[(shift*8+5)/6:len(b)-1]) {
			return true
		}
	}
	return strings.Contains(text, value) || strings.Contains(text, hex.EncodeToString([]byte(value))) || strings.Contains(text, url.QueryEscape(value))
}

// hosts has what fails before any bottle: D5 and D6.
func (a *attacked) hosts() {
	refused := func(row, tried, bottle, want string, env ...string) {
		h := newHome(a.t)
		h.env = env
		h.bottle("b", "agent_provider: {template: shell}\negress:\n  routes:\n    - host: a.example\n"+bottle)
		h.agent("worker", "b", "")
		r := h.run("--backend", "fake", "apply", "-y")
		secret := strings.Contains(r.all(), "hush")
		a.judge(row, tried, "an error that says "+want, lastLine(r.all()), r.code == 1 && strings.Contains(r.all(), want) && !secret)
	}
	file := filepath.Join(a.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("hush\x00hush-hush-hush"), 0o600); err != nil {
		a.t.Fatal(err)
	}
	const auth = "      auth: {scheme: Bearer, token_ref: "
	refused("D5", "a credential on a route that is not intercepted", "      tunnel: true\n"+auth+"E2E_X}\n", "tunnel", "E2E_X=hush-hush-hush")
	refused("D5", "a credential that is not set", auth+"E2E_UNSET}\n", "E2E_UNSET")
	refused("D5", "a credential that is empty", auth+"E2E_X}\n", "E2E_X", "E2E_X=")
	refused("D6", "a credential with a line break", auth+"E2E_X}\n", "E2E_X", "E2E_X=hush-hush\r\nX-Evil: hush")
	refused("D6", "a credential with NUL, from a file", auth+"'file:"+file+"'}\n", "token", "E2E_X=1")
	refused("D6", "a header's name with a line break", auth+"E2E_X, header: \"X\\r\\nY\"}\n", "header", "E2E_X=hush-hush-hush")
}

// logged asks the log for what was blocked (attack D4).
func (a *attacked) logged() {
	var r result
	for range 20 {
		if r = a.h.run("logs", a.agent, "--egress", "--denied", "--json"); strings.Contains(r.stdout, "D4-host") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, path := range []string{"D4-host", "D4-body"} {
		line := ""
		for l := range strings.Lines(r.stdout) {
			if strings.Contains(l, path) {
				line = l
			}
		}
		a.judge("D4", "the log of "+path, "a line without the value", line+lastLine(r.stderr), line != "" && !holds(r.all(), a.leak))
	}
}

// floods takes all it can get, or all of some things, beside a neighbour that goes on working.
func (a *attacked) floods(of ...string) {
	running := func() string { return a.on.life(a.agent) }
	before := running()
	flood := start(a.t, a.h, a.agent, a.world(), append([]string{a.program, "flood"}, of...)...)
	var slowest time.Duration
	count, failed := 0, ""
	for done := false; !done; {
		select {
		case <-flood.ended:
			done = true
		case <-time.After(300 * time.Millisecond):
		}
		begin := time.Now()
		r := a.h.run("exec", a.neighbour, "--", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "https://"+a.host("loud")+"/loud/E10-neighbour")
		if count++; r.stdout != "200" {
			failed = r.all()
		}
		slowest = max(slowest, time.Since(begin))
	}
	a.take(result{stdout: flood.out.String(), stderr: flood.stderr.String()})
	a.judge("E10", fmt.Sprintf("%d requests of a neighbour meanwhile", count), "all answered", fmt.Sprintf("slowest %v %s", slowest.Round(time.Millisecond), failed), failed == "" && count > 2)
	a.judge("E10", "the attacker's sidecar afterwards", "the same process", before+", "+running(), before == running())
}
