package leaks

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
)

// batch is a stream of blobs: path, content, ...
func batch(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "%040x blob %d %s\n%s\n", i+1, len(pairs[i+1]), pairs[i], pairs[i+1])
	}
	return b.String()
}

func TestStreamIsStrict(t *testing.T) {
	id := strings.Repeat("a", 40)
	good := id + " blob 1 a b\nx\n"
	for name, s := range map[string]string{
		"missing":       id + " missing\n",
		"missing path":  id + " missing a b\n",
		"ambiguous":     "abc ambiguous\n",
		"no rest":       id + " blob 1\nx\n",
		"type":          id + " blub 1 a\nx\n",
		"id":            strings.Repeat("g", 40) + " blob 1 a\nx\n",
		"short id":      "abc blob 1 a\nx\n",
		"negative":      id + " blob -1 a\nx\n",
		"padded size":   id + " blob 01 a\nx\n",
		"plus":          id + " blob +1 a\nx\n",
		"too much":      id + " blob 1 a\nxy\n",
		"too little":    id + " blob 9 a\nx\n",
		"no line feed":  id + " blob 1 a\nx",
		"cut head":      id + " bl",
		"garbage after": good + "x",
		"empty line":    "\n" + good,
		"huge":          id + " blob 99999999999 a\nx",
		"bad tree":      "",
	} {
		t.Run(name, func(t *testing.T) {
			if name == "bad tree" {
				s = id + " tree 3 \nxyz\n"
			}
			report, err := Scan(t.Context(), Request{}, strings.NewReader(s))
			if err == nil && report.Refused == "" {
				t.Errorf("%q passes: %+v", s, report)
			}
		})
	}
	if r, err := Scan(t.Context(), Request{}, strings.NewReader(good+good)); err != nil || r.Objects != 2 || r.Bytes != 2 || len(r.Findings) > 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("git died") }

func TestRunFailsClosed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), self, Request{}, io.MultiReader(strings.NewReader(batch("a", "b")), failingReader{})); err == nil || !strings.Contains(err.Error(), "git died") {
		t.Errorf("a reader that fails: %v", err)
	}
	if _, err := Run(t.Context(), self, Request{}, strings.NewReader("x missing\n")); err == nil {
		t.Error("a stream that is broken passes")
	}
	for _, program := range []string{"/bin/true", "/bin/false", "/bin/cat", "/does/not/exist"} {
		if _, err := Run(t.Context(), program, Request{}, strings.NewReader(batch("a", "b"))); err == nil {
			t.Errorf("%s passes as the scanner", program)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r, w := io.Pipe()
	defer w.Close()
	began := time.Now()
	if _, err := Run(ctx, self, Request{}, r); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("an end from outside: %v after %s", err, time.Since(began))
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestFindingsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range uint64(300) {
		b.WriteString(awsKey(100+i) + "\n")
	}
	report := run(t, Request{}, strings.NewReader(batch("a", b.String(), "b", "x")))
	if len(report.Findings) != maxFindings || !report.Truncated || report.Objects != 2 {
		t.Errorf("%d findings, truncated %v, %d objects", len(report.Findings), report.Truncated, report.Objects)
	}
}

// TestExcerptIsClean has what must not reach a terminal, and neighbours that
// must not be shown.
func TestExcerptIsClean(t *testing.T) {
	a, b, value := awsKey(70), forge(71), draw(72, 40, alnumText)
	for _, line := range []string{
		"\x1b[31mred\x1b[0m \u202eevil\u200b " + a, a + " " + b, "x=" + a + b, value + " and " + a + " and " + value,
		strings.Repeat("\u3042", 200) + " " + a, value + value, "p:" + value[:20] + "-" + value[20:] + " " + a,
	} {
		report, err := Scan(t.Context(), Request{Values: []string{value}}, strings.NewReader(batch("di\x1br/\u202ea "+line+"/x", line)))
		if err != nil || len(report.Findings) == 0 {
			t.Fatalf("%q: %+v, %v", line, report, err)
		}
		for _, f := range report.Findings {
			if n := len([]rune(f.Excerpt)); n > 80 {
				t.Errorf("%d characters: %q", n, f.Excerpt)
			}
			for _, s := range []string{f.Excerpt, f.Path} {
				for _, r := range s {
					if !unicode.IsPrint(r) {
						t.Errorf("%q in %q", r, s)
					}
				}
				for _, secret := range []string{a[4:], b[4:], value} {
					for i := 0; i+5 <= len(secret); i++ {
						if strings.Contains(s, secret[i:i+5]) {
							t.Fatalf("%q shows %q", s, secret[i:i+5])
						}
					}
				}
			}
		}
	}
}

// TestRulesArePinned makes a new version of gitleaks a decision.
func TestRulesArePinned(t *testing.T) {
	s, err := newRuleset()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.rules); n != 222-len(dropped)+1 {
		t.Errorf("%d rules", n)
	}
	for _, r := range s.rules {
		if r.source != "" {
			r.compiled()
		}
		for _, a := range r.allows {
			a.has([]byte("x"))
		}
		if len(r.keywords) == 0 && r.source != "" {
			t.Errorf("%s has no keyword: it is never tried", r.id)
		}
	}
	for id := range sharper {
		if !strings.Contains(fmt.Sprint(ids(s)), id) {
			t.Errorf("%s is no rule", id)
		}
	}
}

func ids(s *ruleset) (all []string) {
	for _, r := range s.rules {
		all = append(all, r.id)
	}
	return all
}

// TestSizesThatLie has an archive whose members say that they are long: it must
// not cost what they say.
func TestSizesThatLie(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range 15_000 {
		w, err := z.CreateRaw(&zip.FileHeader{Name: fmt.Sprint(i), UncompressedSize64: 60 << 20, CompressedSize64: 1})
		must(err)
		must(w.Write([]byte("x")))
	}
	must(z.Close())
	began := time.Now()
	report := run(t, Request{}, strings.NewReader(batch("a.zip", b.String())))
	if time.Since(began) > 20*time.Second || len(report.Findings) > 0 {
		t.Errorf("%s, %+v", time.Since(began), report)
	}
	t.Log(time.Since(began), report.Refused)
}
