package dlp

import (
	"archive/zip"
	"bytes"
	"encoding/base32"
	"io"
	"strings"
	"testing"
)

func zipped(name, v string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, _ := z.Create(name)
	_, _ = io.WriteString(w, v)
	_ = z.Close()
	return b.String()
}

// TestZipEntries asserts that deflated entries are searched.
func TestZipEntries(t *testing.T) {
	s := New([]string{canary})
	_, hits, err := s.Body(body0("application/zip", zipped("a.txt", strings.Repeat(code, 20)+canary)))
	if err != nil || !known(hits) {
		t.Errorf("%v %v", hits, err)
	}
}

// TestValuesThatAreIgnored asserts that short values, and none, find nothing.
func TestValuesThatAreIgnored(t *testing.T) {
	for _, list := range [][]string{nil, {""}, {"short"}, {"elevenbytes"}} {
		s := New(list)
		text := "short elevenbytes " + strings.Repeat(code, 100)
		if _, hits, err := s.Body(body0("", text)); len(hits) > 0 || err != nil {
			t.Errorf("%q: %v %v", list, hits, err)
		}
	}
	if !known(New([]string{canary + "\n"}).Text(base32.StdEncoding.EncodeToString([]byte(canary)), true)) {
		t.Error("the value without its line end is not found")
	}
	s := New([]string{"user:" + canary})
	if !known(s.Text("x"+std64("someone:"+canary), true)) || !known(s.Text(canary, true)) {
		t.Error("the password alone is not found")
	}
}
