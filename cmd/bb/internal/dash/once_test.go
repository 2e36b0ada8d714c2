package dash

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestOnce(t *testing.T) {
	w := fleet()
	w.snap.Problems, w.snap.Broken = []string{"bottles/dev.md:3:1: unknown key", "more"}, true
	for i := range w.snap.Bottles {
		w.snap.Bottles[i].Created = time.Time{} // its age would be another every day
	}
	got, broken, err := Once(t.Context(), w, 0)
	if err != nil || !broken {
		t.Errorf("%v, %v", broken, err)
	}
	golden(t, "once", got)
	if got, _, _ := Once(t.Context(), w, 60); strings.Contains(got, "keys") || !strings.Contains(got, "~\n") {
		t.Errorf("%s", got)
	}
	if _, _, err := Once(t.Context(), &world{err: errors.New("no engine")}, 80); err == nil {
		t.Error("an error is lost")
	}
}
