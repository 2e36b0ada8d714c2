package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// soak reports whether the long variants are wanted: `make soak`.
func soak() bool { return os.Getenv("BB_SOAK") != "" }

// sample is all in `make soak`, else n of all, spread by a seed that the log
// names; BB_SEED repeats a run.
func sample[T any](t *testing.T, all []T, n int) []T {
	t.Helper()
	if soak() || len(all) <= n {
		return all
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("BB_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatalf("BB_SEED: %v", err)
		}
	}
	t.Logf("BB_SEED=%d chose %d of %d", seed, n, len(all))
	rng := rand.New(rand.NewPCG(seed, 0))
	chosen := make([]T, n)
	for i := range chosen { // one of each nth part: the whole range is seen
		from, to := i*len(all)/n, (i+1)*len(all)/n
		chosen[i] = all[from+rng.IntN(to-from)]
	}
	return chosen
}

// spread is the shortest, the median and the longest of some times.
func spread(times []time.Duration) string {
	slices.Sort(times)
	return fmt.Sprintf("min %v, median %v, max %v of %d", times[0].Round(time.Millisecond),
		times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond), len(times))
}
