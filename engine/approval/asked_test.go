package approval

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
)

// What was asked is kept once, bounded, and told between what was decided.
func TestAskedIsKept(t *testing.T) {
	s := Store{filepath.Join(t.TempDir(), "approvals")}
	proposal := func(n int) egress.Proposal {
		return egress.Proposal{ID: fmt.Sprintf("%016d", n), Created: now.Add(time.Duration(n) * time.Second), Reason: "a\u202elinter"}
	}
	for range 2 {
		if err := s.KeepAsked(t.Context(), dev, []egress.Proposal{proposal(1), proposal(2)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(dev, Record{Time: now.Add(1500 * time.Millisecond), Who: "ann", Event: Rejected}); err != nil {
		t.Fatal(err)
	}
	all, err := s.History(dev)
	if err != nil || len(all) != 3 || all[0].Event != AskedFor || all[1].Event != Rejected || all[2].Proposal.ID != proposal(2).ID {
		t.Fatalf("%+v, %v", all, err)
	}
	if all[0].Instance != dev.Name() || all[0].Proposal.Reason != "a\u202elinter" {
		t.Errorf("%+v", all[0])
	}
	var many []egress.Proposal
	for n := range 2 * maxAsked {
		many = append(many, proposal(n))
	}
	if err := s.KeepAsked(t.Context(), dev, many); err != nil {
		t.Fatal(err)
	}
	all, err = s.Asked(dev)
	if err != nil || len(all) != maxAsked || all[maxAsked-1].Proposal.ID != many[len(many)-1].ID {
		t.Errorf("%d are kept, %v", len(all), err)
	}
	// Another replica's are its own, however much one asks.
	other := dev
	other.Replica = "2"
	if err := s.KeepAsked(t.Context(), other, []egress.Proposal{proposal(9000)}); err != nil {
		t.Fatal(err)
	}
	many = nil
	for n := range 3 * maxAsked {
		many = append(many, proposal(10000+n))
	}
	if err := s.KeepAsked(t.Context(), dev, many); err != nil {
		t.Fatal(err)
	}
	all, err = s.Asked(dev)
	if err != nil || len(all) != maxAsked+1 || all[0].Proposal.ID != proposal(9000).ID || all[1].Proposal.ID != many[2*maxAsked].ID {
		t.Errorf("%d are kept, %v", len(all), err)
	}
	for n := range 2 * maxAskedAll / maxAsked {
		other.Replica = fmt.Sprint(n + 10)
		if err := s.KeepAsked(t.Context(), other, []egress.Proposal{proposal(100000 + n)}); err != nil {
			t.Fatal(err)
		}
		for i := range many {
			many[i].ID = fmt.Sprintf("%08d%08d", n, i)
		}
		if err := s.KeepAsked(t.Context(), other, many); err != nil {
			t.Fatal(err)
		}
	}
	if all, err = s.Asked(dev); err != nil || len(all) != maxAskedAll {
		t.Errorf("%d of all are kept, %v", len(all), err)
	}
	if info, err := os.Stat(s.asked(dev)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(s.asked(dev), []byte("[{}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.History(dev); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("%v", err)
	}
}
