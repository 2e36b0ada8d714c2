package diag

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSuggest(t *testing.T) {
	known := []string{"egress", "env", "extends", "name", "base", "dev"}
	for word, want := range map[string]string{
		"egres": "egress", "egerss": "egress", "enb": "env", "extend": "extends",
		"bsae": "base", "dve": "dev", "nme": "name", "abc": "", "": "", "production": "", "x": "",
	} {
		if got := Suggest(word, known); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
	if got := Suggest("egress", nil); got != "" {
		t.Errorf("Suggest without candidates = %q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"abc", "acb", 1},
		{"abc", "bca", 2},
		{"kitten", "sitting", 3},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestDiagnosticText(t *testing.T) {
	for want, d := range map[string]Diagnostic{
		"no bottle":                     Errorf("no %s", "bottle"),
		"a.md: broken":                  {File: "a.md", Message: "broken"},
		"a.md:3: broken":                {File: "a.md", Line: 3, Message: "broken"},
		"a.md:3:4: broken (do this)":    {File: "a.md", Line: 3, Col: 4, Message: "broken", Hint: "do this"},
		"a.md: warning: odd":            {Severity: Warning, File: "a.md", Col: 4, Message: "odd"},
		"broken (write 3)":              Errorf("broken").WithHint("write %d", 3),
		"a.md:3: warning: odd (see 1%)": {Severity: Warning, File: "a.md", Line: 3, Message: "odd", Hint: "see 1%"},
	} {
		if got := d.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestListSortsAndDropsEqual(t *testing.T) {
	l := List{
		{File: "b.md", Line: 1, Message: "m"},
		{File: "a.md", Line: 10, Message: "m"},
		{File: "a.md", Line: 2, Col: 5, Message: "n"},
		{File: "a.md", Line: 2, Col: 5, Message: "m"},
		{File: "a.md", Line: 2, Col: 1, Message: "z"},
		{File: "b.md", Line: 1, Message: "m"},
		{Message: "nowhere"},
	}
	l.Sort()
	want := "nowhere\na.md:2:1: z\na.md:2:5: m\na.md:2:5: n\na.md:10: m\nb.md:1: m"
	if diff := cmp.Diff(want, l.Error()); diff != "" {
		t.Errorf("sorted (-want +got):\n%s", diff)
	}
}

func TestListErr(t *testing.T) {
	if err := (List{{Severity: Warning, Message: "odd"}}).Err(); err != nil {
		t.Errorf("a warning stops: %v", err)
	}
	if err := (List{{Severity: Warning}, Errorf("broken")}).Err(); err == nil {
		t.Error("an error does not stop")
	}
	if err := (List{}).Err(); err != nil {
		t.Errorf("an empty list stops: %v", err)
	}
}
