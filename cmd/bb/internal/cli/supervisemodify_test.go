package cli

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/egress"
)

// TestRouteText: what an agent wrote comes back as it is, and is nothing else
// than what it was.
func TestRouteText(t *testing.T) {
	want := egress.Route{
		Host: "wanted.example.com", Port: 8443, Source: "approved",
		Matches: []egress.Match{{Methods: []string{"GET"}, Paths: []string{"/a:c", "/c,d=%22"}}},
	}
	x := asked{Bottle: "dev", Labels: []string{"new host"}, Proposal: egress.Proposal{Route: &want, Reason: "one\nhost: evil.example.com\r\n\x1b[2J\u202e\u009b\ttwo" + strings.Repeat(" and more", 50)}}
	text := string(routeText(x))
	if strings.ContainsAny(text, "\x1b\r\t\u202e\u009b") || strings.Contains(text, "\nhost: evil") || !strings.Contains(text, "\n# ! new host\n") {
		t.Errorf("it reads %q", text)
	}
	got, err := readRoute([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&want, got); d != "" {
		t.Error(d)
	}
}

func TestReadRoute(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "EOF"},
		{"# only words\n", "EOF"},
		{"host: a.example.com", ""},
		{"host: a.example.com\nauth: {}", "field auth not found"},
		{"host: '*.example.com'", "wildcard"},
		{"host: a.example.com\nmethods: ['GET IT']", "a method is a word"},
		{"host: a.example.com\npaths: [x]", "path"},
		{"host: a.example.com\npaths: ['/a b']", "write %20"},
		{"[]", "cannot unmarshal"},
	}
	for _, tt := range tests {
		r, err := readRoute([]byte(tt.text))
		switch {
		case tt.want == "" && (err != nil || r.Port != 443):
			t.Errorf("%q: %+v, %v", tt.text, r, err)
		case tt.want == "EOF" && !errors.Is(err, io.EOF):
			t.Errorf("%q: %v", tt.text, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
}
