// Package examples carries the starter manifests that bb init writes.
package examples

import "embed"

// Files holds bottles/ and agents/.
//
//go:embed bottles agents
var Files embed.FS
