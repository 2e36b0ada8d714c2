package gitgate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkClone compares a clone through the gate, whose mirror is current,
// with one by the file path with the same protocol: 2,000 commits, 20 MB.
func BenchmarkClone(b *testing.B) {
	w := newWorld(b)
	bare := w.remote("origin")
	var stream strings.Builder
	for i := range 2000 {
		text := strings.Repeat(fmt.Sprintf("%d %x\n", i, i*2654435761), 400)
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata 1\nx\n", 1700000000+i)
		if i == 0 {
			stream.WriteString("from refs/heads/main^0\n")
		}
		fmt.Fprintf(&stream, "M 100644 inline d%d/f%d\ndata %d\n%s\n", i%20, i%200, len(text), text)
	}
	w.gitIn(stream.String(), bare, "fast-import", "--quiet")
	w.git(w.dir, "ls-remote", w.url("origin.git"))
	for name, url := range map[string]string{"gate": w.url("origin.git"), "path": "file://" + bare} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				to := filepath.Join(w.dir, "bench")
				w.git(w.dir, "clone", "-q", "--bare", url, to)
				b.StopTimer()
				if err := os.RemoveAll(to); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
