package dash

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFrames(t *testing.T) {
	broken := fleet()
	broken.snap.Broken = true
	broken.snap.Problems = []string{"bottles/dev.md:3:1: unknown key (did you mean egress?)", "and another"}
	before := newModel(fleet(), time.Now)
	before.plain, before.width, before.height = true, 80, 24
	for name, m := range map[string]*model{
		"80x24":         screen(t, fleet(), 80, 24),
		"120x40":        screen(t, fleet(), 120, 40),
		"40x12":         screen(t, fleet(), 40, 12),
		"plan":          screen(t, fleet(), 80, 24, "p"),
		"question":      screen(t, fleet(), 80, 24, "down", "x"),
		"proposal":      screen(t, fleet(), 80, 24, "tab", "enter"),
		"long proposal": screen(t, fleet(), 80, 24, "tab", "down", "enter"),
		"reason":        screen(t, fleet(), 80, 24, "tab", "enter", "n", "no", "\u202e!"),
		"help":          screen(t, fleet(), 80, 50, "?"),
		"empty":         screen(t, &world{snap: Snapshot{At: noon}}, 80, 24),
		"broken":        screen(t, broken, 80, 24),
		"before":        before,
		"after a start": screen(t, fleet(), 80, 24, "end", "up", "s", "y"),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, fits(t, m)+"\n") })
	}
	if got := screen(t, fleet(), 20, 5).View(); !strings.Contains(got, "too small") {
		t.Errorf("%q", got)
	}
}

// crowd is a fleet of fifty with thirty questions.
func crowd() *world {
	w := fleet()
	for i := range 46 {
		b := w.snap.Bottles[1]
		b.Name = fmt.Sprintf("worker-%02d", i)
		b.ID = b.Name
		w.snap.Bottles = append(w.snap.Bottles, b)
	}
	for i := range 28 {
		p := w.snap.Proposals[i%3]
		p.ID, p.Short = fmt.Sprintf("q%d-whole", i), fmt.Sprintf("q%d", i)
		w.snap.Proposals = append(w.snap.Proposals, p)
	}
	return w
}

// Every size has a frame that fits it, whatever is on it.
func TestSizes(t *testing.T) {
	for _, w := range []*world{fleet(), crowd()} {
		for width := minWidth; width < 130; width += 7 {
			for height := minHeight; height < 50; height += 5 {
				m := screen(t, w, width, height)
				for range panes {
					fits(t, m)
					press(m, "down", "enter")
					fits(t, m)
					press(m, "esc", "esc", "tab")
				}
			}
		}
	}
}

func TestMoreThanThereIsRoomFor(t *testing.T) {
	m := screen(t, crowd(), 80, 24)
	got := fits(t, m)
	for _, want := range []string{"of 52, ", " more", "of 31, "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	on := func() string { return m.chosen[bottles] }
	var went []string
	for _, k := range []string{"G", "g", "pgdown", "pgup", "end", "home"} {
		press(m, k)
		fits(t, m)
		went = append(went, on())
	}
	page := m.snap.Bottles[m.page()].ID
	want := []string{"worker-45", m.snap.Bottles[0].ID, page, m.snap.Bottles[0].ID, "worker-45", m.snap.Bottles[0].ID}
	if diff := cmp.Diff(want, went); diff != "" {
		t.Error(diff)
	}
}

// Names have all the room that the other columns leave, and columns line up.
func TestColumns(t *testing.T) {
	long := "an-agent-with-a-very-long-name-indeed"
	for _, width := range []int{60, 80, 120, 200} {
		m := screen(t, fleet(), width, 30)
		lines := strings.Split(fits(t, m), "\n")
		if got := strings.Contains(lines[3], long); got != (width >= 120) {
			t.Errorf("%d columns: %q", width, lines[3])
		}
		if head, row := strings.Index(lines[2], "state"), strings.Index(lines[4], "running"); head != row || head < 0 {
			t.Errorf("%d columns: state at %d, running at %d\n%s\n%s", width, head, row, lines[2], lines[4])
		}
	}
	if !strings.Contains(screen(t, fleet(), 120, 30).View(), "read-only") {
		t.Error("policies are not shown at 120 columns")
	}
	for _, n := range []int64{0, 1, 1023, 1024, 1023<<10 + 1000, 300 << 20, 1<<30 - 1, 1 << 40, 1 << 62} {
		if got := size(n); len(got) > 8 && n < 1<<50 {
			t.Errorf("%d is %q", n, got)
		}
	}
}

func TestKeyLine(t *testing.T) {
	for p := range panes {
		if got := keyLine(p); !strings.HasPrefix(got, "q quit  ? keys  ") {
			t.Errorf("%d: %s", p, got)
		}
	}
	help := strings.Split(screen(t, fleet(), 100, 60, "?").View(), "\n")
	for _, b := range bindings {
		if !slices.ContainsFunc(help, func(l string) bool { return strings.Contains(l, b.help) }) {
			t.Errorf("help has no %q", b.help)
		}
	}
}
