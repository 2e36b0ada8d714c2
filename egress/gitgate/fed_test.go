package gitgate

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate/leaks"
)

// fed remembers which objects the search was fed with.
type fed struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (f *fed) scan(ctx context.Context, req leaks.Request, objects io.Reader) (leaks.Report, error) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.read(bufio.NewReader(r))
		_, _ = io.Copy(io.Discard, r)
	}()
	report, err := searcher(ctx, req, io.TeeReader(objects, w))
	_ = w.Close()
	<-done
	return report, err
}

func (f *fed) read(r *bufio.Reader) {
	for {
		var id, kind string
		var n int64
		head, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := fmt.Sscan(head, &id, &kind, &n); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, r, n+1); err != nil {
			return
		}
		f.mu.Lock()
		f.seen[id] = true
		f.mu.Unlock()
	}
}

// all are the objects of the upstream, whatever reaches them.
func (b *bench) all() map[string]bool {
	b.t.Helper()
	ids := map[string]bool{}
	for id := range strings.FieldsSeq(b.git("--git-dir", b.upstream, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")) {
		ids[id] = true
	}
	return ids
}

// Whatever the shape of a push, what the upstream then has more of was searched.
func TestAllThatArrivesWasSearched(t *testing.T) {
	t.Parallel()
	b := newBench(t, egress.Push{Tags: true, Force: true, Delete: true, Allow: []string{"refs/heads/*", "refs/tags/*", "refs/notes/*"}})
	f := &fed{seen: map[string]bool{}}
	b.gate.scan = f.scan
	total := 0
	const rounds = 25
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	commits := []string{b.git("rev-parse", "main")}
	trees := []string{b.git("rev-parse", "main^{tree}")}
	blobs := []string{b.git("rev-parse", "main:README")}
	pick := func(of []string) string { return of[dice.IntN(len(of))] }
	when := func() string { // as an agent says, which need not be true
		return fmt.Sprintf("%d +0000", []int64{1, 1000, 1700000000, 1800000000, 4000000000}[dice.IntN(5)])
	}
	commit := func() string {
		text := "tree " + pick(trees) + "\n"
		seen := map[string]bool{}
		for range dice.IntN(4) {
			if c := pick(commits); !seen[c] {
				seen[c] = true
				text += "parent " + c + "\n"
			}
		}
		return b.object("commit", fmt.Sprintf("%sauthor a <a@example.com> %s\ncommitter a <a@example.com> %s\n\n%d\n", text, when(), when(), dice.Uint64()))
	}
	for round := range rounds {
		for range 1 + dice.IntN(4) {
			if dice.IntN(2) == 0 {
				blobs = append(blobs, b.object("blob", strings.Repeat(fmt.Sprint(dice.IntN(50)), 1+dice.IntN(500))))
			}
			b.git("read-tree", "--empty")
			b.git("read-tree", trees[0]) // with what is protected
			for range dice.IntN(3) {
				b.git("update-index", "--add", "--cacheinfo", "100644,"+pick(blobs)+","+fmt.Sprintf("d%d/f%d", dice.IntN(3), dice.IntN(5)))
			}
			if dice.IntN(3) == 0 {
				b.git("update-index", "--add", "--cacheinfo", "160000,"+pick(commits)+",module")
			}
			if dice.IntN(3) == 0 {
				b.git("read-tree", fmt.Sprintf("--prefix=below%d/", dice.IntN(3)), pick(trees))
			}
			trees = append(trees, b.git("write-tree"))
			commits = append(commits, commit())
		}
		var specs []string
		used := map[string]bool{}
		for i := range 1 + dice.IntN(3) {
			var src, ref string
			switch dice.IntN(6) {
			case 0:
				src, ref = pick([]string{pick(commits), pick(trees), pick(blobs)}), fmt.Sprintf("refs/tags/light%d-%d", round, i)
			case 1:
				inner := b.object("tag", fmt.Sprintf("object %s\ntype commit\ntag v\ntagger a <a@example.com> %s\n\n%d\n", pick(commits), when(), round))
				src, ref = b.object("tag", fmt.Sprintf("object %s\ntype tag\ntag w\ntagger a <a@example.com> %s\n\n%d\n", inner, when(), round)), fmt.Sprintf("refs/tags/t%d-%d", round, i)
			case 2:
				src, ref = pick(commits), "refs/notes/n"
			default:
				src, ref = pick(commits), fmt.Sprintf("refs/heads/b%d", dice.IntN(6))
			}
			if !used[ref] {
				used[ref] = true
				specs = append(specs, "+"+src+":"+ref)
			}
		}
		before := b.all()
		f.seen = map[string]bool{}
		out, err := b.try(append([]string{"push", pick([]string{"--thin", "--no-thin"}), "origin"}, specs...)...)
		arrived := 0
		for id := range b.all() {
			if !before[id] {
				if arrived++; !f.seen[id] {
					t.Fatalf("seed %d, round %d: %s %s came to the upstream unsearched", seed, round, b.git("cat-file", "-t", id), id)
				}
			}
		}
		if err != nil {
			t.Fatalf("seed %d, round %d: %v %s", seed, round, specs, out)
		}
		total += arrived
		if dice.IntN(4) == 0 { // somebody else takes something away
			_, _ = b.try("--git-dir", b.upstream, "update-ref", "-d", fmt.Sprintf("refs/heads/b%d", dice.IntN(6)))
		}
		b.git("fetch", "-q", "-p", "origin")
	}
	if total < rounds/2 {
		t.Errorf("only %d objects came", total)
	}
}
