// Package parallel runs calls that need nothing of each other.
package parallel

import "sync"

// Run calls all functions, at most n at a time, and returns their errors in
// the order of the functions. It never leaves one out: who wants to end early
// gives them a context.
func Run(n int, work ...func() error) []error {
	errs := make([]error, len(work))
	slots := make(chan struct{}, n)
	var wg sync.WaitGroup
	for i, f := range work {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = f()
		})
	}
	wg.Wait()
	return errs
}
