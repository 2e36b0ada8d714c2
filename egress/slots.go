package egress

import (
	"errors"
	"fmt"
	"slices"
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
	for i, r := range routes {
		slotted[i] = r.clone()
		if r.Auth == nil {
			continue
		}
		slotted[i].Auth.Slot, refs = SlotOf(refs, r.Auth.TokenRef)
		slotted[i].Auth.TokenRef = ""
	}
	return slotted, refs
}

// SlotOf is the slot of a reference, and the list with it: a reference that has
// none yet gets the next.
func SlotOf(refs []SlotRef, ref string) (slot string, all []SlotRef) {
	if i := slices.IndexFunc(refs, func(r SlotRef) bool { return r.Ref == ref }); i >= 0 {
		return refs[i].Slot, refs
	}
	slot = "EGRESS_TOKEN_" + strconv.Itoa(len(refs))
	return slot, append(refs, SlotRef{Slot: slot, Ref: ref})
}

// MinSecret is the length in bytes from which a value can be looked for as a
// whole in what an agent sends: a shorter one stands in any text by chance.
const MinSecret = 12

// Errors of a reference's value.
var (
	ErrUnset = errors.New("is not set")
	ErrShort = errors.New("is shorter than 12 bytes")
)

// ResolveTokens fills every slot. Unset (ErrUnset), empty and too short
// (ErrShort) are errors: a request that should be authenticated never goes out
// without, and what cannot be told from other text cannot be kept in. What lookup
// fails with is wrapped. Errors say the reference in words, never the value.
func ResolveTokens(refs []SlotRef, lookup func(ref string) (string, error)) (map[string]string, error) {
	values := make(map[string]string, len(refs))
	var errs []error
	for _, r := range refs {
		of := ParseRef(r.Ref)
		name := "token " + strings.TrimPrefix(of.String(), "$")
		check := CheckToken
		if of.Key != "" {
			name, check = of.String(), checkKeyValue
		}
		value, err := lookup(r.Ref)
		switch {
		case errors.Is(err, ErrUnset):
			errs = append(errs, fmt.Errorf("%s %w", name, ErrUnset))
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		case value == "":
			errs = append(errs, fmt.Errorf("%s is empty", name))
		default:
			switch err := check(value); {
			case errors.Is(err, ErrShort):
				errs = append(errs, fmt.Errorf("%s %w", name, ErrShort))
			case err != nil:
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
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
// LF, NUL and other control bytes; and one that is too short to be found
// (ErrShort). Of a "USER:PASSWORD" the whole counts; its password is looked for
// alone where that is long enough itself.
func CheckToken(value string) error {
	for i := 0; i < len(value); i++ {
		if value[i] < 0x20 || value[i] == 0x7f {
			return errors.New("the value has a line break or another control byte")
		}
	}
	if len(value) < MinSecret {
		return fmt.Errorf("the value %w", ErrShort)
	}
	return nil
}
