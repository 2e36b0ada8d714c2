package leaks

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzStream(f *testing.F) {
	f.Add([]byte(batch("a b", "x", "", "yy")))
	f.Add([]byte(strings.Repeat("a", 40) + " tree 30 \n100644 a\x0012345678901234567890\n"))
	f.Add([]byte("x missing\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newStream(bytes.NewReader(data))
		read := 0
		for {
			o, err := s.head()
			if err != nil {
				return
			}
			if o.size > 1<<20 {
				return
			}
			if s.content(&o) != nil {
				return
			}
			// What was read is what was there, whatever is in it.
			if read += len(o.data); read > len(data) || !bytes.Contains(data, o.data) {
				t.Fatal("content that was not there")
			}
		}
	})
}

func FuzzArchive(f *testing.F) {
	secret := forge(80)
	f.Add([]byte(zipOf(f, "a", secret, "b/c", "x")))
	f.Add([]byte(gzipOf(tarOf(f, "a", secret))))
	f.Add([]byte(zstdOf(secret)))
	f.Add([]byte(pngOf("zTXt", "a\x00\x00"+zlibOf(secret))))
	f.Add([]byte(pngOf("iTXt", "a\x00\x01\x00en\x00\x00"+zlibOf(secret))))
	f.Add([]byte("%PDF-1.4 stream\n" + zlibOf(secret)))
	f.Add([]byte("\xfd7zXZ\x00\x00\x04"))
	f.Add([]byte("BZh91AY&SY"))
	s, err := newSearcher([]string{draw(81, 40, alnumText)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		s.report, s.seen = Report{}, map[Finding]bool{}
		s.unpacked.Store(0)
		s.object(object{id: strings.Repeat("a", 40), kind: "blob", path: "x", data: data})
		s.object(object{id: strings.Repeat("a", 40), kind: "tree", path: "x", data: data})
		if bytes.Contains(data, []byte("\n"+secret+"\n")) && len(s.report.Findings) == 0 && s.report.Refused == "" {
			t.Fatal("not found")
		}
	})
}
