package leaks

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// BenchmarkScan searches Go's own sources in a child process, with what it
// takes to start it.
func BenchmarkScan(b *testing.B) {
	root := filepath.Join(runtime.GOROOT(), "src") //nolint:staticcheck // the sources that the test was built with
	var objects bytes.Buffer
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "testdata" {
			return fs.SkipDir // keys and bombs, on purpose
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&objects, "%040x blob %d %s\n%s\n", objects.Len(), len(content), path[len(root):], content)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(objects.Len()))
	for b.Loop() {
		if report := run(b, Request{Values: []string{canary(90)}}, bytes.NewReader(objects.Bytes())); report.Truncated || report.Refused != "" {
			b.Fatalf("not searched to the end: %+v", report)
		}
	}
}

// BenchmarkStart searches one small file.
func BenchmarkStart(b *testing.B) {
	in := []byte(batch("a.go", "package a\n"))
	for b.Loop() {
		run(b, Request{Values: []string{canary(91)}}, bytes.NewReader(in))
	}
}
