package egress

import "testing"

// The words of a reference show no argument of a command.
func TestRefWords(t *testing.T) {
	for ref, want := range map[string]string{
		"NAME":                          "$NAME",
		"file:/run/token":               "file /run/token",
		"file:~/token":                  "file ~/token",
		`command:["pass"]`:              "command pass",
		`command:["pass","hush"]`:       "command pass (1 argument)",
		`command:["/bin/x","a","hush"]`: "command /bin/x (2 arguments)",
	} {
		if got := ParseRef(ref).String(); got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}
