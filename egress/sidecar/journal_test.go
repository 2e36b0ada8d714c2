package sidecar

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/proxy"
)

func TestLinesAreScrubbed(t *testing.T) {
	slots := map[string]secret{
		"EGRESS_TOKEN_0": {"EGRESS_TOKEN_0", secretValue, "d0"},
		"EGRESS_TOKEN_1": {"EGRESS_TOKEN_1", "short", "d1"},
		"EGRESS_TOKEN_2": {"EGRESS_TOKEN_2", `","path":"`, "d2"},
	}
	j := &journal{}
	for name, tt := range map[string]struct {
		entry any
		slots map[string]secret
		want  string
	}{
		"nothing to hide": {map[string]string{"host": "short"}, slots, `{"host":"short"}`},
		"positive control": {
			map[string]string{"host": "tok-9"}, map[string]secret{}, `{"host":"tok-9"}`,
		},
		"a value":   {map[string]string{"path": "/" + secretValue + "/x"}, slots, `{"path":"/[redacted]/x"}`},
		"in a URL":  {map[string]string{"path": url.PathEscape(secretValue)}, slots, `{"path":"[redacted]"}`},
		"in a form": {map[string]string{"path": url.QueryEscape(secretValue)}, slots, `{"path":"[redacted]"}`},
		"in lower hex": {
			map[string]string{"path": strings.NewReplacer("%3C", "%3c", "%3E", "%3e").Replace(url.PathEscape(secretValue))}, slots, `{"path":"[redacted]"}`,
		},
		"a part of a line": {
			proxy.Entry{Host: "a", Path: "b"}, slots, "",
		},
		"structure":   {json.RawMessage(`{"a":"b","path":"c"}`), slots, `{"a":"b[redacted]c"}`},
		"torn apart":  {json.RawMessage(`{"b":{"d":1},"path":"c"}`), map[string]secret{"EGRESS_TOKEN_0": {"EGRESS_TOKEN_0", `1},"path"`, ""}}, `{"error":"entry holds a value of the vault"}`},
		"no encoding": {func() {}, slots, `{"error":"entry cannot be encoded"}`},
		"too large":   {strings.Repeat("y", maxEntry), slots, `{"dropped_entry_bytes":16386}`},
	} {
		got := string(j.line(nil, record{tt.entry, tt.slots}))
		if strings.Contains(got, "9f3c") || !strings.HasSuffix(got, "\n") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %q", name, got)
		}
		if tt.want != "" && got != tt.want+"\n" {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// hung is a disk that does not come back.
type hung struct {
	directory
	until chan struct{}
}

func (d hung) create(base int64) (logFile, error) {
	<-d.until
	return d.directory.create(base)
}

func TestAHungDiskHoldsNobody(t *testing.T) {
	disk := hung{directory(t.TempDir()), make(chan struct{})}
	s := openStore(disk, maxLogFile, noReport(t))
	j := newJournal(s, func() string { return "bb-dev-0a1b2c" }, func() map[string]secret { return nil })
	const n = 3 * maxWaiting
	begin := time.Now()
	for range n {
		j.add(proxy.Entry{Method: "GET", Verdict: proxy.VerdictDenied})
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("requests waited %v", took)
	}
	close(disk.until)
	j.add(proxy.Entry{Method: "LAST"})
	end := time.Now().Add(deadline)
	var text string
	for ; !strings.Contains(text, `"dropped":`); time.Sleep(time.Millisecond) {
		if _, text = s.all(t, 0); time.Now().After(end) {
			t.Fatalf("nothing says what was dropped: %d bytes", len(text))
		}
	}
	j.close()
	entries, err := os.ReadFile(disk.path(0))
	if err != nil {
		t.Fatal(err)
	}
	var seen, told int64
	for line := range strings.Lines(string(entries)) {
		var e struct {
			Instance string
			Dropped  int64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Instance != "bb-dev-0a1b2c" {
			t.Fatalf("%q: %v", line, err)
		}
		if e.Dropped > 0 {
			told += e.Dropped
		} else {
			seen++
		}
	}
	if seen+told != n+1 || told < maxWaiting {
		t.Errorf("%d lines and %d dropped make not %d", seen, told, n+1)
	}
}

func TestDeniedNames(t *testing.T) {
	r := start(t, nil)
	if _, err := r.ctl(t, CommandApply, document(nil)); err != nil {
		t.Fatal(err)
	}
	ask := func(label string) {
		conn := dialUnix(t, r.opts.DoorSocket)
		query := "\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + string(rune(len(label))) + label + "\x00\x00\x01\x00\x01"
		if _, err := conn.Write([]byte(egress.Preface(egress.ServiceDNS) + "\x00" + string(rune(len(query))) + query)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	ask("egress")
	ask("Evil")
	ask("a\x1b[2J\n.\"b")
	type entry struct{ Instance, Method, Host, Verdict string }
	var got []entry
	for _, line := range r.lines(t, 2) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	want := []entry{
		{"bb-dev-0a1b2c", "DNS", "evil", "denied"},
		{"bb-dev-0a1b2c", "DNS", `a\027[2j\010\.\"b`, "denied"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for range 2 * dnsBurst {
		ask("again")
	}
	r.log(map[string]string{"method": "LAST"})
	all := r.lines(t, -1)
	if n := len(all); n < dnsBurst || n > dnsBurst+25 || !strings.Contains(strings.Join(all, ""), `"dropped":`) {
		t.Errorf("%d lines", n)
	}
}
