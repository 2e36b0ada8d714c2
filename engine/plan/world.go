// Package plan compares the desired instances with what a driver observed,
// and lists what to do: changes for people, nodes for the executor. It is
// pure: nothing here touches the world.
package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/spec"
)

// Query is what a driver needs to know to observe.
type Query struct {
	Owner string
	// Scopes are those in view: what has a name of one of them and is not
	// ours is foreign, whether an instance of that name is desired or not.
	Scopes []string
	// Specs are the desired instances of this backend: the driver resolves
	// their images and looks for foreign resources of their names.
	Specs []*spec.Spec
}

// Claims reports whether name is one that bb computes for a scope in view.
func (q Query) Claims(name string) bool {
	scope := spec.ScopeOf(name)
	if scope == "" {
		return false
	}
	return slices.ContainsFunc(q.Scopes, func(s string) bool { return strings.HasPrefix(s, scope) }) ||
		slices.ContainsFunc(q.Specs, func(s *spec.Spec) bool { return strings.HasPrefix(s.ID.Scope, scope) })
}

// World is one driver's snapshot.
type World struct {
	Backend string
	// Instances are ours, of every scope of this owner.
	Instances []Instance
	// Foreign are resources that are not ours and have a name bb computes.
	Foreign []Foreign
	// Images is keyed by instance name: the image the instance should have.
	Images map[string]ImageState
	// SidecarImage is the image sidecars should have; "" means unknown.
	SidecarImage string
	// PipelockImage is that of sidecars with pipelock; "" means unknown.
	PipelockImage string
	// Confinement identifies what agents should be confined by, beyond their
	// manifests; "" means that the driver knows no such thing.
	Confinement string
	// SharedNetwork is "" (absent), "ours" (made by a bb) or "foreign".
	SharedNetwork string
}

// gateImage is the image that the sidecar of s should have; "" means unknown.
func (w World) gateImage(s *spec.Spec) string {
	if s.Gate.Pipelock {
		return w.PipelockImage
	}
	return w.SidecarImage
}

// Instance is one observed bottle, whole or half-made.
type Instance struct {
	ID      spec.ID
	Backend string
	Agent   *Part // nil: absent
	Sidecar *Part
	// Leftovers names volumes or directories that exist.
	Leftovers []string
	// State is the sidecar's last state line; nil unless it runs and spoke.
	State *egress.StateLine
	// Document is the redacted live document, asked for only where its hash
	// differs, to show which fields do.
	Document *egress.Document
}

// Part is the container, machine or process of one role.
type Part struct {
	Ref     string // the engine's id
	Running bool
	Paused  bool // it does not run, but has lost nothing
	// Unused: it was made, and never ran: nobody's work is in it.
	Unused bool
	// Lingers: it does not run as a bottle, and a process of it does.
	Lingers bool
	// Status is the engine's own word, for people: "Up 3 minutes".
	Status   string
	Created  int64 // unix seconds
	Spec     string
	SpecJSON string
	Image    string
	Version  string
	Source   string
	// Confinement is what the agent was created under.
	Confinement string
	// Network is the outer network the sidecar was created on.
	Network string
	// Pipelock says that the sidecar was created with pipelock in it.
	Pipelock bool
	// Transcript is where an agent's program keeps its conversations; "" means
	// nowhere.
	Transcript string
	// Altered says how the resource differs from what its own labels say bb
	// made, where the driver sees that in its list: somebody's hand. An
	// altered agent is replaced, an altered sidecar made anew.
	Altered []string
}

// Foreign is a resource with a name of ours that is not ours.
type Foreign struct {
	Kind string // container, volume, network
	Name string
	// Labels says that it carries the labels of an instance of ours under
	// another name: somebody renamed it, or made it of a bottle's image.
	Labels string
}

// String says what it is, for people.
func (f Foreign) String() string {
	if f.Labels != "" {
		return fmt.Sprintf("%s %s carries the labels of %s under another name", f.Kind, f.Name, f.Labels)
	}
	return fmt.Sprintf("%s %s is not bb's", f.Kind, f.Name)
}

// ImageState is the image an instance should have.
type ImageState struct {
	// Ref is what the image label should say; "" means unknown until built.
	Ref string
	// Present reports whether the engine has it.
	Present bool
}

// Capabilities are what a driver can do beyond create and remove.
type Capabilities struct {
	// Builds reports whether the driver builds images.
	Builds bool
}
