package state

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadWritesNothing(t *testing.T) {
	home := t.TempDir()
	if _, err := Read(home); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(home); err != nil || len(entries) != 0 {
		t.Errorf("%v %v", entries, err)
	}
}

func TestOpenKeepsWhatItMade(t *testing.T) {
	home := t.TempDir()
	var mu sync.Mutex
	var wg sync.WaitGroup
	owners := map[string]bool{}
	for range 8 { // first runs at once agree
		wg.Go(func() {
			s, err := Open(home)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			owners[s.Owner+string(s.Key)] = true
		})
	}
	wg.Wait()
	if len(owners) != 1 {
		t.Errorf("%d owners", len(owners))
	}
	a, errA := Open(home)
	b, errB := Read(home)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
	if len(a.Owner) != 32 || len(a.Key) != 32 {
		t.Errorf("owner %d, key %d", len(a.Owner), len(a.Key))
	}
	for _, name := range []string{"owner", "key"} {
		info, err := os.Stat(filepath.Join(home, "state", name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(home, "state"))
	if err != nil || len(entries) != 2 {
		t.Errorf("left over: %v %v", entries, err)
	}
}

func TestDamagedFileIsNamed(t *testing.T) {
	home := t.TempDir()
	if _, err := Open(home); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "state", "key"), []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(home); err == nil || !strings.Contains(err.Error(), "key is damaged") || strings.Contains(err.Error(), "short") {
		t.Error(err)
	}
}
