package parallel

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		odd := errors.New("odd")
		var mu sync.Mutex
		running, most := 0, 0
		enter := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			running += n
			most = max(most, running)
		}
		var work []func() error
		for i := range 10 {
			work = append(work, func() error {
				enter(1)
				defer enter(-1)
				time.Sleep(time.Duration(10-i) * time.Second) // the last ends first
				if i%2 == 1 {
					return odd
				}
				return nil
			})
		}
		got := Run(3, work...)
		want := []error{nil, odd, nil, odd, nil, odd, nil, odd, nil, odd}
		if !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if most != 3 {
			t.Errorf("%d at once", most)
		}
	})
}
