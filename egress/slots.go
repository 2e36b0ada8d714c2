package egress

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// SlotRef says which reference fills a slot.
type SlotRef struct {
	Slot string `json:"slot"`
	Ref  string `json:"ref"`
}

// Slots gives every distinct token reference a slot EGRESS_TOKEN_<n>, counted
// from 0 in the order of the merged list. The routes that it returns carry the
// slot and no longer the reference, which never leaves the host.
func Slots(routes []Route) ([]Route, []SlotRef) {
	slotted := make([]Route, len(routes))
	var refs []SlotRef
	slots := map[string]string{}
	for i, r := range routes {
		slotted[i] = r.clone()
		if r.Auth == nil {
			continue
		}
		ref := r.Auth.TokenRef
		if _, ok := slots[ref]; !ok {
			slots[ref] = "EGRESS_TOKEN_" + strconv.Itoa(len(refs))
			refs = append(refs, SlotRef{Slot: slots[ref], Ref: ref})
		}
		slotted[i].Auth.Slot = slots[ref]
		slotted[i].Auth.TokenRef = ""
	}
	return slotted, refs
}

// ErrUnset says that a reference has no value.
var ErrUnset = errors.New("is not set")

// ResolveTokens fills every slot. Unset (ErrUnset) and empty are errors: a
// request that should be authenticated never goes out without. What lookup
// fails with is wrapped. Errors say the reference in words, never the value.
func ResolveTokens(refs []SlotRef, lookup func(ref string) (string, error)) (map[string]string, error) {
	values := make(map[string]string, len(refs))
	var errs []error
	for _, r := range refs {
		name := strings.TrimPrefix(ParseRef(r.Ref).String(), "$")
		value, err := lookup(r.Ref)
		switch {
		case errors.Is(err, ErrUnset):
			errs = append(errs, fmt.Errorf("token %s %w", name, ErrUnset))
		case err != nil:
			errs = append(errs, fmt.Errorf("token %s: %w", name, err))
		case value == "":
			errs = append(errs, fmt.Errorf("token %s is empty", name))
		default:
			if err := CheckToken(value); err != nil {
				errs = append(errs, fmt.Errorf("token %s: %w", name, err))
			}
		}
		values[r.Slot] = value
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return values, nil
}

// CheckToken refuses a value that would end a header early (attack D6): CR,
// LF, NUL and other control bytes.
func CheckToken(value string) error {
	for i := 0; i < len(value); i++ {
		if value[i] < 0x20 || value[i] == 0x7f {
			return errors.New("the value has a line break or another control byte")
		}
	}
	return nil
}
