package approval

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

var (
	now   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	later = now.Add(DefaultTime)
	dev   = spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"}
)

func entry(host, proposal string, expires time.Time) Entry {
	return Entry{
		Route: egress.Route{Host: host, Port: 443, Expires: expires},
		Word:  Word{Proposal: proposal, By: "ann", At: now, Why: "a linter"},
	}
}

func TestOverlayIsKeptUntilItEnds(t *testing.T) {
	s := Store{filepath.Join(t.TempDir(), "approvals")}
	empty, err := s.Read(dev)
	if err != nil || len(empty.Routes) > 0 {
		t.Fatalf("%+v, %v", empty, err)
	}
	o := empty
	o.Routes = []Entry{entry("a.example.com", "p1", later), entry("b.example.com", "p2", time.Time{})}
	o.Values = []Value{{Value: egress.ApprovedValue{Digest: "d", Host: "a.example.com", Port: 443, Expires: later}, Word: Word{Proposal: "p3"}}}
	if err := s.Write(dev, o); err != nil {
		t.Fatal(err)
	}
	got, err := s.Read(dev)
	if diff := cmp.Diff(o, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if info, err := os.Stat(s.overlay(dev)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if other, err := s.Read(spec.ID{Scope: dev.Scope, Agent: "dev", Replica: "2"}); err != nil || len(other.Routes) > 0 {
		t.Errorf("another instance has it too: %+v, %v", other, err)
	}
	if l := got.Live(later); len(l.Routes) != 1 || len(l.Values) != 0 || l.Routes[0].Proposal != "p2" {
		t.Errorf("%+v", l)
	}

	manifest := []egress.Route{{Host: "api.example.com", Port: 443, Source: "bottle"}}
	live := spec.Live{Routes: manifest}
	for range 2 { // once more is the same
		if _, err := got.Apply(&live); err != nil || len(live.Routes) != 3 || len(live.Values) != 1 {
			t.Fatalf("%+v, %v", live, err)
		}
	}
	if len(manifest) != 1 {
		t.Error("the manifest's list was changed")
	}

	ids, err := s.List(dev.Scope)
	if diff := cmp.Diff([]spec.ID{dev}, ids); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if ids, err = s.List("fedcba9876543210"); err != nil || len(ids) > 0 {
		t.Errorf("of another scope: %v, %v", ids, err)
	}

	left, gone := got.Revoke("p1")
	if len(gone.Routes) != 1 || len(gone.Values) != 0 || len(left.Routes) != 1 || len(left.Values) != 1 {
		t.Errorf("%+v, %+v", gone, left)
	}
	if left, gone = left.Revoke(""); !left.Empty() || len(gone.Routes) != 1 || len(gone.Values) != 1 {
		t.Errorf("%+v, %+v", gone, left)
	}
	// Taken back, nothing of it stays on a spec.
	if _, err := left.Apply(&live); err != nil || len(live.Routes) != 1 || len(live.Values) != 0 {
		t.Fatalf("%+v, %v", live, err)
	}
	if err := s.Write(dev, left); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.overlay(dev)); !os.IsNotExist(err) {
		t.Errorf("an empty overlay is kept: %v", err)
	}
	if err := s.Remove(dev); err != nil {
		t.Errorf("gone is success: %v", err)
	}
}

func TestBadOverlay(t *testing.T) {
	s := Store{t.TempDir()}
	for text, want := range map[string]string{
		"{": "is damaged", `{"version":1,"instance":"another"}`: "is damaged",
		`{"version":2,"instance":"` + dev.Name() + `"}`: "of another bb",
	} {
		if err := os.WriteFile(s.overlay(dev), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(dev); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	many := Overlay{Routes: make([]Entry, maxEntries+1)}
	if err := s.Write(dev, many); err == nil || !strings.Contains(err.Error(), "promote") {
		t.Errorf("%v", err)
	}
}

func TestRecord(t *testing.T) {
	s := Store{filepath.Join(t.TempDir(), "approvals")}
	if all, err := s.Records(dev); err != nil || len(all) > 0 {
		t.Fatalf("%v, %v", all, err)
	}
	first := Record{Time: now, Who: "ann", Event: Approving, Instance: dev.Name(), Digest: "d", After: []egress.Route{{Host: "a.example.com", Port: 443, Source: "approved"}}, Why: "a\nlinter"}
	if err := s.Append(dev, first); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(s.record(dev), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(`{"time":"2026`) // the power went
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	second := Record{Time: now, Who: "ann", Event: Approved, Instance: dev.Name()}
	if err := s.Append(dev, second); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(dev, Overlay{Routes: []Entry{entry("a.example.com", "p", later)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(dev); err != nil { // the instance goes, its record stays
		t.Fatal(err)
	}
	long := Record{Time: now, Event: Approved, Instance: dev.Name(), Why: strings.Repeat("<", 300<<10)}
	if err := s.Append(dev, long); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(s.record(dev)); err != nil || len(b) > 310<<10 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	got, err := s.Records(dev)
	damaged := Record{Time: now, Event: Damaged, Why: "line 2 of " + filepath.Base(s.record(dev)) + " cannot be read"}
	if diff := cmp.Diff([]Record{first, damaged, second, long}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if info, err := os.Stat(s.record(dev)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestLabels(t *testing.T) {
	get := []egress.Match{{Methods: []string{"GET"}, Paths: []string{"/a"}}}
	auth := &egress.Auth{Scheme: "Bearer", TokenRef: "T"}
	routes := []egress.Route{
		{Host: "api.example.com", Port: 443, Matches: get, Auth: auth},
		{Host: "*.wild.example.com", Port: 443, Auth: auth},
		{Host: "open.example.com", Port: 443},
		{Host: "gone.example.com", Port: 443, Auth: auth, Expires: now},
		{Host: "*.inside.example.com", Port: 443, SSRFIPAllowlist: []string{"10.0.0.0/8"}},
		{Host: "some.example.com", Port: 443, Matches: []egress.Match{{Methods: []string{"GET", "POST"}}, {Methods: []string{"HEAD"}, Paths: []string{"/h/"}}}},
		{Host: "paths.example.com", Port: 443, Matches: []egress.Match{{Paths: []string{"/"}}, {Methods: []string{"POST"}}}},
	}
	ask := func(host string, port int, matches ...egress.Match) egress.Proposal {
		return egress.Proposal{Kind: egress.ProposeRoute, Reason: "harmless", Route: &egress.Route{Host: host, Port: port, Matches: matches}}
	}
	read := egress.Match{Methods: []string{"get", "HEAD"}}
	for _, tt := range []struct {
		name string
		p    egress.Proposal
		want []string
	}{
		{"read of a new host", ask("new.example.com", 443, read), []string{NewHost}},
		{"all of a new host", ask("new.example.com", 443), []string{NewHost, WriteMethod}},
		{"a wider path", ask("api.example.com", 443, egress.Match{Methods: []string{"GET"}, Paths: []string{"/b"}}), []string{WiderPath, Credential}},
		{"a path below", ask("api.example.com", 443, egress.Match{Methods: []string{"GET"}, Paths: []string{"/a/b"}}), []string{Credential}},
		{"a write", ask("api.example.com", 443, egress.Match{Methods: []string{"POST"}, Paths: []string{"/a"}}), []string{WiderPath, WriteMethod, Credential}},
		{"another port of a host with a credential", ask("api.example.com", 8443, read), []string{NewHost, Credential}},
		{"under a wildcard with a credential", ask("x.wild.example.com", 443, read), []string{Credential}},
		{"one that ended counts no more", ask("gone.example.com", 443, read), []string{NewHost}},
		{"under a wildcard that leads inside", ask("x.inside.example.com", 443, read), []string{Internal}},
		{"inside, at another port", ask("x.inside.example.com", 444, read), []string{NewHost}},
		{"all methods beside two", ask("some.example.com", 443, egress.Match{Paths: []string{"/a"}}), []string{WiderPath, WriteMethod}},
		{"everything beside two", ask("some.example.com", 443), []string{WiderPath, WriteMethod}},
		{"a method that nobody names", ask("some.example.com", 443, egress.Match{Methods: []string{"PURGE"}}), []string{WiderPath, WriteMethod}},
		{"what is there", ask("some.example.com", 443, egress.Match{Methods: []string{"GET", "POST"}}), []string{WriteMethod}},
		{"a path of one method", ask("some.example.com", 443, egress.Match{Methods: []string{"HEAD"}, Paths: []string{"/h/x"}}), nil},
		{"the path above it", ask("some.example.com", 443, egress.Match{Methods: []string{"HEAD"}, Paths: []string{"/h"}}), []string{WiderPath}},
		{"all methods of a path", ask("paths.example.com", 443, egress.Match{Paths: []string{"/a"}}), []string{WriteMethod}},
		{"no path of one method", ask("paths.example.com", 443, egress.Match{Methods: []string{"POST"}}), []string{WriteMethod}},
		{"paths that cannot be read", ask("paths.example.com", 443), []string{WiderPath, WriteMethod}},
		{"open already", ask("open.example.com", 443, read), nil},
		{"a private address", ask("10.0.0.1", 443, read), []string{NewHost, Internal}},
		{"metadata", ask("169.254.169.254", 80, read), []string{NewHost, Internal}},
		{"mapped", ask("::ffff:192.168.0.1", 80, read), []string{NewHost, Internal}},
		{"carrier", ask("100.64.1.1", 80, read), []string{NewHost, Internal}},
		{"translated", ask("64:ff9b::a00:1", 443, read), []string{NewHost, Internal}},
		{"translated, and public", ask("64:ff9b::808:808", 443, read), []string{NewHost}},
		{"6to4", ask("2002:a00:1::1", 443, read), []string{NewHost, Internal}},
		{"ISATAP", ask("2606:4700::5efe:a00:1", 443, read), []string{NewHost, Internal}},
		{"SIIT", ask("::ffff:0:a00:1", 443, read), []string{NewHost, Internal}},
		{"IPv4-compatible", ask("::10.0.0.1", 443, read), []string{NewHost, Internal}},
		{"a cloud's metadata", ask("168.63.129.16", 80, read), []string{NewHost, Internal}},
		{"a bare name", ask("intranet", 443, read), []string{NewHost, Internal}},
		{"an internal name", ask("db.corp", 443, read), []string{NewHost, Internal}},
		{"public address", ask("8.8.8.8", 443, read), []string{NewHost}},
		{"a held value", egress.Proposal{Kind: egress.ProposeValue, Held: &egress.HeldValue{Host: "api.example.com", Port: 443}}, []string{Unscanned, Credential}},
		{"a held value that goes inside", egress.Proposal{Kind: egress.ProposeValue, Held: &egress.HeldValue{Host: "x.inside.example.com", Port: 443}}, []string{Unscanned, Internal}},
		{"an image", egress.Proposal{Kind: egress.ProposeCapability, Dockerfile: "FROM x"}, []string{Image}},
		{"a push", egress.Proposal{Kind: egress.ProposePush, Push: &egress.PushNotice{}}, nil},
	} {
		if diff := cmp.Diff(tt.want, Labels(tt.p, routes, now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestDigestMovesWithBoth(t *testing.T) {
	p := egress.Proposal{ID: "1", Route: &egress.Route{Host: "a.example.com", Port: 443}}
	routes := []egress.Route{{Host: "b.example.com", Port: 443}}
	same := Digest(p, routes)
	if same == "" || same != Digest(p, egress.CloneRoutes(routes)) {
		t.Error("it differs for the same")
	}
	q := p
	q.Reason = "another"
	routes2 := append(egress.CloneRoutes(routes), egress.Route{Host: "c.example.com", Port: 443})
	if Digest(q, routes) == same || Digest(p, routes2) == same {
		t.Error("it stays for another")
	}
}

// The end of an approval is no change of the desired state, and allows nothing.
func TestEndIsNoDrift(t *testing.T) {
	word := Word{Proposal: "p1", By: "ann", At: now}
	o := Overlay{}.Approve(egress.Route{Host: "a.example.com", Port: 443, Source: "anything"}, nil, word, time.Hour)
	if got := o.Routes[0].Route; !got.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("%+v", got)
	}
	var before, after spec.Live
	if _, err := o.Apply(&before); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Apply(&after); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	const when = "2006-01-02 15:04"
	want := "approved " + now.Local().Format(when) + ", expires " + now.Add(time.Hour).Local().Format(when)
	if r := before.Routes[0]; r.Source != want || !Is(r) || Is(egress.Route{Source: want}) {
		t.Errorf("%+v", r)
	}
	end := now.Add(time.Hour)
	if egress.Find(before.Routes, "a.example.com", 443, end.Add(-time.Second)) == nil || egress.Find(before.Routes, "a.example.com", 443, end) != nil {
		t.Error("it does not end when it should")
	}
	word.At = end
	next := o.Approve(egress.Route{Host: "b.example.com", Port: 443}, nil, word, 0)
	if len(next.Routes) != 1 || next.Routes[0].Route.Host != "b.example.com" || !next.Routes[0].Route.Expires.IsZero() || strings.Contains(next.Allowed()[0].Source, "expires") {
		t.Errorf("%+v", next.Routes)
	}
}

// A login that came, went or changed after the approval is not attached to it.
func TestApprovalKnowsItsLogin(t *testing.T) {
	bearer := &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0"}
	live := func(ref string, auth *egress.Auth) spec.Live {
		return spec.Live{
			Routes: []egress.Route{{Host: "*.example.com", Port: 443, Auth: auth, Matches: []egress.Match{{Methods: []string{"GET"}}}}},
			Tokens: map[string]string{"EGRESS_TOKEN_0": ref},
		}
	}
	moved := &egress.Auth{Scheme: "Bearer", Slot: "EGRESS_TOKEN_0", Header: "X-Key"}
	for _, tt := range []struct {
		name        string
		then, later spec.Live
		left        bool
	}{
		{"none, and none", live("", nil), live("A", nil), false},
		{"the same", live("A", bearer), live("A", bearer), false},
		{"one came", live("", nil), live("A", bearer), true},
		{"it went", live("A", bearer), live("A", nil), true},
		{"another token", live("A", bearer), live("B", bearer), true},
		{"another header", live("A", bearer), live("A", moved), true},
	} {
		r := egress.Route{Host: "a.example.com", Port: 443}
		o := Overlay{}.Approve(r, Login(tt.then.Routes, tt.then.Tokens, r), Word{Proposal: "p", At: now}, 0)
		s := Store{t.TempDir()}
		if err := s.Write(dev, o); err != nil {
			t.Fatal(err)
		}
		o, err := s.Read(dev)
		if err != nil {
			t.Fatal(err)
		}
		left, err := o.Apply(&tt.later)
		if err != nil || len(left) == 1 != tt.left || len(tt.later.Routes) == 1 != tt.left {
			t.Errorf("%s: %v, left out %v, %+v", tt.name, err, left, tt.later.Routes)
		}
	}
}
