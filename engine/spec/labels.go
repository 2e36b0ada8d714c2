package spec

// Label keys. Labels are written by the create call itself: they are the
// state, describe creation, and die with the resource.
const (
	LabelManaged  = "bb.managed"
	LabelOwner    = "bb.owner"
	LabelVersion  = "bb.version"
	LabelScope    = "bb.scope"
	LabelAgent    = "bb.agent"
	LabelReplica  = "bb.replica"
	LabelRole     = "bb.role"
	LabelSpec     = "bb.spec"
	LabelSpecJSON = "bb.spec-json"
	LabelImage    = "bb.image"
	LabelSource   = "bb.source"
	// LabelConfinement identifies what every agent of a driver is confined by.
	LabelConfinement = "bb.confinement"
	// LabelNetwork is the outer network a sidecar was created on.
	LabelNetwork = "bb.network"
	// LabelTranscript is an agent's Program.Transcript.
	LabelTranscript = "bb.transcript"
	// LabelPipelock is "1" on a sidecar with pipelock in it.
	LabelPipelock = "bb.pipelock"
)

// Roles of a resource.
const (
	RoleAgent   = "agent"
	RoleSidecar = "sidecar"
	RoleDoor    = "door"
	RoleCA      = "ca"
	RoleBinary  = "binary"
	RoleNetwork = "network"
	RoleImage   = "image"
	RoleRelay   = "relay"
	// RoleFreezer is what an image of a bottle is cleaned in.
	RoleFreezer = "freezer"
)

// IdentityLabels are the labels that every resource of an instance carries.
func IdentityLabels(owner, version string, id ID, role string) map[string]string {
	return map[string]string{
		LabelManaged: "1", LabelOwner: owner, LabelVersion: version,
		LabelScope: id.Scope, LabelAgent: id.Agent, LabelReplica: id.Replica,
		LabelRole: role,
	}
}

// Renamed returns the name that the labels of a resource compute, where its
// own name is another and the labels are those of owner.
func Renamed(owner, name string, labels map[string]string) (string, bool) {
	for _, suffix := range []string{"", "_s"} {
		id := ID{Scope: labels[LabelScope], Agent: labels[LabelAgent], Replica: labels[LabelReplica]}
		if len(id.Scope) != 16 {
			return "", false
		}
		computed := id.Name() + suffix
		if _, _, ok := ParseIdentity(owner, computed, labels); ok && computed != name {
			return computed, true
		}
	}
	return "", false
}

// ParseIdentity reads an ID from labels. ok is false unless the resource is
// ours: the owner matches and name is the one computed from the labels (an
// image committed from a bottle carries its labels along).
func ParseIdentity(owner, name string, labels map[string]string) (id ID, role string, ok bool) {
	id = ID{Scope: labels[LabelScope], Agent: labels[LabelAgent], Replica: labels[LabelReplica]}
	role = labels[LabelRole]
	if labels[LabelManaged] != "1" || owner == "" || labels[LabelOwner] != owner ||
		len(id.Scope) != 16 || id.Agent == "" || id.Replica == "" {
		return ID{}, "", false
	}
	want := map[string]string{
		RoleAgent: id.Name(), RoleSidecar: id.Sidecar(),
		RoleDoor: id.DoorVolume(), RoleCA: id.CAVolume(),
	}[role]
	return id, role, want != "" && want == name
}
