package gitgate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/gitgate/upstream"
)

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names
}

func TestManyClonesShareRefreshes(t *testing.T) {
	w := newWorld(t)
	bare := w.remote("origin")
	w.up.delay.Store(int64(300 * time.Millisecond))
	tip := w.git(bare, "rev-parse", "main")
	const n = 20
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		go func() {
			defer all.Done()
			to := filepath.Join(w.dir, fmt.Sprint("many-", i))
			if _, err := w.try(w.dir, "clone", "-q", w.url("origin.git"), to); err != nil {
				t.Error(err)
				return
			}
			if got, err := w.try(to, "rev-parse", "HEAD"); got != tip || err != nil {
				t.Errorf("HEAD is %s: %v", got, err)
			}
		}()
	}
	all.Wait()
	if got := w.up.runs.Load(); got > n/2 {
		t.Errorf("%d clones asked the upstream %d times", n, got)
	}
	if got := w.up.fetch.Load(); got != 1 {
		t.Errorf("%d fetches", got)
	}
}

func TestSwapEndsWhatItTakesAway(t *testing.T) {
	for name, change := range map[string]func(d *egress.Document){
		"gone":       func(d *egress.Document) { d.Remotes = nil },
		"push rules": func(d *egress.Document) { d.Remotes[0].Push.Force = true },
		"credential": func(d *egress.Document) { d.Tokens["GIT_CREDENTIAL_0"] = egress.Token{Value: "another-credential"} },
		"upstream":   func(d *egress.Document) { d.Remotes[0].Upstream += "2" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.remote("origin")
			w.up.delay.Store(int64(time.Minute))
			done := make(chan error, 1)
			go func() {
				_, err := w.try(w.dir, "ls-remote", w.url("origin.git"))
				done <- err
			}()
			eventually(t, "asking", func() bool { return w.up.runs.Load() > 0 })
			began := time.Now()
			change(&w.doc)
			w.swap()
			if err := <-done; err == nil || !strings.Contains(err.Error(), "git gate: origin: "+string(errChanged)) {
				t.Error(err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestSwapLeavesTheRestAlone(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	w.up.delay.Store(int64(time.Second))
	done := make(chan error, 1)
	go func() {
		_, err := w.try(w.dir, "ls-remote", w.url("origin.git"))
		done <- err
	}()
	eventually(t, "asking", func() bool { return w.up.runs.Load() > 0 })
	held := (*w.gate.remotes.Load())["origin"]
	w.doc.Canary = "canary-of-the-bottle"
	w.doc.Tokens["EGRESS_TOKEN_0"] = egress.Token{Value: "token-of-a-route"}
	w.doc.Remotes[0].Source = "elsewhere"
	w.remote("other")
	if err := <-done; err != nil {
		t.Error(err)
	}
	now := (*w.gate.remotes.Load())["origin"]
	if want := "canary-of-the-bottle credential-of-origin credential-of-other token-of-a-route"; strings.Join(now.values, " ") != want {
		t.Errorf("values are %q", now.values)
	}
	if len(held.values) != 1 || held.ctx.Err() != nil {
		t.Errorf("what a request holds changed: %q %v", held.values, held.ctx.Err())
	}
}

func TestSwapRefusesWhole(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	good := w.doc.Remotes[0]
	for want, change := range map[string]func(d *egress.Document){
		"the name is not of":        func(d *egress.Document) { d.Remotes[0].Name = "../x" },
		"there twice":               func(d *egress.Document) { d.Remotes = append(d.Remotes, d.Remotes[0]) },
		"its credential is missing": func(d *egress.Document) { d.Tokens = nil },
		"slot is not named":         func(d *egress.Document) { d.Remotes[0].Slot = "EGRESS_TOKEN_0" },
		"without host_key":          func(d *egress.Document) { d.Remotes[0].HostKey = "" },
		"with different credentials": func(d *egress.Document) {
			r := good
			r.Name, r.HostKey = "twin", strings.TrimSuffix(worldKey, "f")+"g"
			d.Remotes = append(d.Remotes, r)
		},
		"neither ssh:// nor https://":           func(d *egress.Document) { d.Remotes[0].Upstream = "file:///etc" },
		"no user":                               func(d *egress.Document) { d.Remotes[0].Upstream = "ssh://-oProxyCommand=x/y" },
		"begins with a dash":                    func(d *egress.Document) { d.Remotes[0].Upstream = "ssh://git@h/-x" },
		"origin: upstream: malformed host":      func(d *egress.Document) { d.Remotes[0].Upstream = "https://u:pass@h/x" },
		"remote origin: upstream: neither":      func(d *egress.Document) { d.Remotes[0].Upstream = "ext::sh -c x" },
		"git remote origin: upstream: the path": func(d *egress.Document) { d.Remotes[0].Upstream = "ssh://git@h/x\n-y" },
	} {
		doc := egress.Document{Remotes: []egress.Remote{good}, Tokens: w.doc.Tokens}
		change(&doc)
		err := w.gate.Swap(doc)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		} else if strings.Contains(err.Error(), "credential-of") || strings.Contains(err.Error(), "pass") {
			t.Errorf("it quotes: %v", err)
		}
	}
	w.clone("origin")
}

func TestMirrorsOfUpstreamsNoLongerDeclared(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	w.remote("other")
	w.clone("origin")
	w.clone("other")
	mirrors := filepath.Join(w.dir, "gate", mirrorsDir)
	if got := entries(t, mirrors); len(got) != 2 {
		t.Fatalf("mirrors: %v", got)
	}
	kept := filepath.Base(w.gate.mirrorOf("origin").dir)
	all := w.doc
	w.doc.Remotes = all.Remotes[:1]
	w.swap()
	eventually(t, "removed", func() bool {
		return len(entries(t, filepath.Dir(mirrors))) == 1 && strings.Join(entries(t, mirrors), "") == kept
	})
	w.doc = all
	w.swap()
	w.clone("other")
	// Declared under another name it is the same mirror.
	fetched := w.up.fetch.Load()
	w.doc.Remotes = []egress.Remote{all.Remotes[0]}
	w.doc.Remotes[0].Name = "renamed"
	w.swap()
	w.clone("renamed")
	if w.up.fetch.Load() != fetched {
		t.Error("a renamed remote was fetched again")
	}
}

func TestOpenFinishesWhatAKilledOneLeft(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	w.clone("origin")
	dir := w.gate.mirrorOf("origin").dir
	if err := w.gate.Close(); err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(w.dir, "gate")
	for _, name := range []string{"push-1/objects/pack", "gone-1/x", "making-2/refs", mirrorsDir + "/stranger.git"} {
		if err := os.MkdirAll(filepath.Join(top, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	fetched := w.up.fetch.Load()
	w.open()
	eventually(t, "removed", func() bool { return len(entries(t, top)) == 1 })
	w.swap()
	eventually(t, "the stranger is removed", func() bool { return len(entries(t, filepath.Join(top, mirrorsDir))) == 1 })
	w.clone("origin")
	if w.up.fetch.Load() != fetched {
		t.Errorf("the mirror %s was not used again", dir)
	}
}

// What a killed process, or a disk, makes of a mirror.
func TestBrokenMirrorsAreMadeAgain(t *testing.T) {
	for name, harm := range map[string]func(dir string) error{
		"no objects":     func(dir string) error { return os.RemoveAll(filepath.Join(dir, "objects")) },
		"no HEAD":        func(dir string) error { return os.Remove(filepath.Join(dir, "HEAD")) },
		"no config":      func(dir string) error { return os.Remove(filepath.Join(dir, "config")) },
		"another config": func(dir string) error { return os.WriteFile(filepath.Join(dir, "config"), []byte("[core]\n"), 0o600) },
		"empty":          func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)) },
		"a file":         func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) },
		"gone":           os.RemoveAll,
		"torn ref": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "refs/heads/main"), nil, 0o600)
		},
		"a lock left": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "packed-refs.lock"), nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			bare := w.remote("origin")
			w.clone("origin")
			if err := harm(w.gate.mirrorOf("origin").dir); err != nil {
				t.Fatal(err)
			}
			w.git(bare, "update-ref", "-d", "refs/heads/main", w.git(bare, "rev-parse", "main"))
			tip := w.commit(bare, "main", "again", "again")
			if got := w.git(w.clone("origin"), "rev-parse", "HEAD"); got != tip {
				t.Errorf("HEAD is %s, want %s", got, tip)
			}
		})
	}
}

// Objects that are gone while the refs are right show only when they are used:
// that clone fails, and the next one does not.
func TestLostObjectsAreFoundOut(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	w.clone("origin")
	dir := w.gate.mirrorOf("origin").dir
	err := filepath.WalkDir(filepath.Join(dir, "objects"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Remove(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.try(w.dir, "clone", "-q", w.url("origin.git"), filepath.Join(w.dir, "broken")); err == nil {
		t.Error("a clone of nothing succeeds")
	}
	w.git(w.clone("origin"), "fsck")
}

func TestFullDiskIsSaid(t *testing.T) {
	w := newWorld(t)
	w.remote("origin")
	for _, err := range []error{
		&fs.PathError{Op: "mkdir", Path: "/x", Err: syscall.ENOSPC},
		&upstream.Failure{Kind: upstream.Other, Text: "fatal: write error: No space left on device"},
		&gitError{Verb: "gc", Said: "No space left on device", err: errors.New("exit status 128")},
	} {
		w.up.setDown(err)
		w.fails("git gate: origin: "+string(errFull), w.dir, "ls-remote", w.url("origin.git"))
	}
}

func TestPacksStayFew(t *testing.T) {
	w := newWorld(t)
	bare := w.remote("origin")
	m := w.gate.mirrorOf("origin")
	for i := range 24 {
		w.git(bare, "branch", strings.Repeat("b", i+1), "main")
	}
	w.clone("origin")
	packs := func() int {
		found, _ := filepath.Glob(filepath.Join(m.dir, "objects/pack/*.pack"))
		return len(found)
	}
	tip := w.git(bare, "rev-parse", "main")
	for range 24 { // packs of one object each, as so many fetches leave them
		tip = w.commit(m.dir, "main", tip[:8], tip)
		w.gitIn(tip+"\n", m.dir, "pack-objects", "-q", "objects/pack/pack")
	}
	if packs() < 20 {
		t.Fatalf("%d packs", packs())
	}
	w.clone("origin")
	unlock, err := m.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.tidied = time.Time{}
	unlock()
	m.tidy()
	if got := packs(); got > 3 {
		t.Errorf("%d packs", got)
	}
	w.git(w.clone("origin"), "fsck")
}
