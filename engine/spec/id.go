// Package spec is the driver-neutral, fully resolved desire for one instance:
// its identity, its fixed half (a change means replace), its live half (a
// change means update in place), and the hashes that compare both.
package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// ID identifies one instance.
type ID struct {
	// Scope is 16 hex digits: see ScopeID.
	Scope string
	Agent string
	// Replica counts from "1"; an ad-hoc instance has a random suffix.
	Replica string
}

// ScopeID derives the scope from the owner (random, made once per state
// directory) and the real path of BB_HOME or of a repository, so that two
// homes, users or machines on one engine never meet.
func ScopeID(owner, realPath string) string {
	sum := sha256.Sum256([]byte("bb-scope\x00" + owner + "\x00" + realPath))
	return hex.EncodeToString(sum[:8])
}

// Name is the instance's resource name: bb-<agent>[_<n>]-<6 hex of the scope>.
func (id ID) Name() string { return "bb-" + id.String() + "-" + id.Scope[:6] }

// Sidecar is the name of the sidecar's container or process.
func (id ID) Sidecar() string { return id.Name() + "_s" }

// DoorVolume holds the socket that is the bottle's only way out.
func (id ID) DoorVolume() string { return id.Name() + "_door" }

// CAVolume holds the sidecar's certificate authority.
func (id ID) CAVolume() string { return id.Name() + "_ca" }

// String is the short name for people: the agent, and the replica if not 1.
func (id ID) String() string {
	if id.Replica == "" || id.Replica == "1" {
		return id.Agent
	}
	return id.Agent + "_" + id.Replica
}

var ownName = regexp.MustCompile(`^bb-[a-z][a-z0-9-]*(?:_[a-z0-9]+)?-([0-9a-f]{6})(?:_s|_door|_ca)?$`)

// ScopeOf returns the six digits of the scope in a name of the shape that bb
// computes, or "". Only labels decide whether a resource is ours.
func ScopeOf(name string) string {
	if m := ownName.FindStringSubmatch(strings.TrimPrefix(name, "/")); m != nil {
		return m[1]
	}
	return ""
}
