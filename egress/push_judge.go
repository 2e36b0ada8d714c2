package egress

import (
	"fmt"
	"strings"
)

// RefUpdate is one ref of a push as git-receive-pack is asked for it.
type RefUpdate struct {
	Ref string // full name, as it came
	// Old and New are object ids in hex; "" means none.
	Old, New string
}

// Created tells whether the ref would be new, and Deleted whether it would go.
func (u RefUpdate) Created() bool { return u.Old == "" }

// Deleted tells whether the ref would be gone.
func (u RefUpdate) Deleted() bool { return u.New == "" }

// Tag tells whether it is about a tag.
func (u RefUpdate) Tag() bool { return strings.HasPrefix(u.Ref, tagRefs) }

// RefFacts is what must be known about an update beside it.
type RefFacts struct {
	// Default is the full name of the upstream's default branch; "" when it has
	// none, or does not say.
	Default string
	// FastForward says that New descends from Old.
	FastForward bool
	// Alike is another ref of the upstream, or of the push, whose name differs
	// from this only in case, or which lies above or below it, or which is the tag
	// of this branch's name or the branch of this tag's; "" is none.
	Alike string
}

// Judge says why a ref may not be changed so, as the agent may read it, or nil.
// It looks at no content. The order of reasons is that of what must be changed
// first. Nothing in a name is shown but clean text.
func (p Push) Judge(u RefUpdate, f RefFacts) error {
	if p.Off {
		return fmt.Errorf("%s: pushes to this remote are off: the manifest's push.off must go first", shown(u.Ref))
	}
	if err := checkRefName(u.Ref); err != nil {
		return fmt.Errorf("%s: the name %w: push a branch such as refs/heads/NAME", shown(u.Ref), err)
	}
	if err := p.judgeName(u, f); err != nil {
		return err
	}
	if f.Alike != "" {
		return fmt.Errorf("%s: it cannot be beside %s, which it could be taken for: choose another name", shown(u.Ref), shown(f.Alike))
	}
	return p.judgeChange(u, f)
}

func (p Push) judgeName(u RefUpdate, f RefFacts) error {
	ref := shown(u.Ref)
	branch := strings.HasPrefix(u.Ref, branchRefs)
	// What has no case on the upstream's disk is the same branch.
	isDefault := strings.EqualFold(u.Ref, f.Default)
	switch {
	case strings.HasPrefix(strings.ToLower(u.Ref), replaceRefs):
		return fmt.Errorf("%s: git reads other objects through such refs: it is never pushed", ref)
	case u.Tag() && !p.Tags:
		return fmt.Errorf("%s: tags are not pushed here: push a branch, or set push.tags of the remote to true", ref)
	case len(p.Allow) > 0 && !p.covered(u.Ref):
		return fmt.Errorf("%s: only %s may be pushed: rename it, or list it under push.allow of the remote", ref, strings.Join(p.Allow, ", "))
	case len(p.Allow) > 0 || u.Tag():
	case !branch:
		return fmt.Errorf("%s: only branches (refs/heads/NAME) are pushed here: push a branch, or list it under push.allow of the remote", ref)
	case isDefault:
		return fmt.Errorf("%s is the default branch of the upstream: push a branch of your own, or list it under push.allow of the remote", ref)
	case f.Default == "":
		return fmt.Errorf("%s: the upstream names no default branch, so this might become it: list it under push.allow of the remote", ref)
	}
	if isDefault && u.Deleted() {
		return fmt.Errorf("%s is the default branch of the upstream: it is never deleted", ref)
	}
	return nil
}

func (p Push) judgeChange(u RefUpdate, f RefFacts) error {
	ref := shown(u.Ref)
	switch {
	case u.Created() && u.Deleted():
		return fmt.Errorf("%s: there is no such ref to delete: fetch first (git fetch --prune)", ref)
	case u.Deleted() && !p.Delete:
		return fmt.Errorf("%s: refs are not deleted here: leave it, or set push.delete of the remote to true", ref)
	case u.Deleted(), u.Created(), u.Old == u.New, p.Force:
		return nil
	case u.Tag():
		return fmt.Errorf("%s: this tag exists, and to move it is a force: choose another name, or set push.force of the remote to true", ref)
	case !f.FastForward:
		return fmt.Errorf("%s: this is no fast-forward: fetch, then rebase or merge onto what is there, or set push.force of the remote to true", ref)
	}
	return nil
}

func (p Push) covered(ref string) bool {
	for _, pattern := range p.Allow {
		if matchRef(pattern, ref) {
			return true
		}
	}
	return false
}

// shown is a name as it may stand in a text: whole when it is plain.
func shown(ref string) string {
	const most = 120
	clean := checkRefName(ref) == nil
	if len(ref) > most {
		ref = strings.ToValidUTF8(ref[:most], "") + "..."
	}
	if clean {
		return ref
	}
	return fmt.Sprintf("%+q", ref)
}
