//go:build race

package leaks

// dataLimit is none: the detector of races reserves more than any limit.
const dataLimit = 0
