package hostside

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the sidecar of another bb was made of is nobody's to make up.
func TestProgramIsGone(t *testing.T) {
	s, one := newSidecars(t)
	if err := s.Ensure(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	h := s.home(one.ID)
	if err := end(context.Background(), h); err != nil {
		t.Fatal(err)
	}
	var r record
	if err := read(h.file(recordFile), &r); err != nil {
		t.Fatal(err)
	}
	was := r.Image
	r.Image = "bb-0123456789ab-" + confinement
	if err := write(h.file(recordFile), r); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), one.ID); err == nil || !strings.Contains(err.Error(), "of another bb, whose program is gone") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(s.at(r.Image)); err == nil {
		t.Error("another program has its name")
	}
	if x := only(t, s); x.Part.Running || x.Part.Image != r.Image {
		t.Errorf("%+v", x.Part)
	}
	if err := s.Ensure(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if x := only(t, s); !x.Part.Running || x.Part.Image != was {
		t.Errorf("%+v", x.Part)
	}
	// bb that was replaced since it looked at itself is not what it would be named.
	s.opts.Self = "/bin/true"
	if err := s.program(one.ID, s.Image()); err != nil {
		t.Errorf("it is there: %v", err)
	}
	if err := os.Remove(s.at(s.Image())); err != nil {
		t.Fatal(err)
	}
	if err := s.program(one.ID, s.Image()); err == nil || !strings.Contains(err.Error(), "not the program any more") {
		t.Errorf("%v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.opts.Dir, ".bb-*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
