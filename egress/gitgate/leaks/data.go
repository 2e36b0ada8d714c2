//go:build !race

package leaks

// dataLimit is where the system ends the child: it counts addresses, also of
// pages that were given back. The sidecar has 512 MiB for all.
const dataLimit = 400 << 20
