package manifest

import "strconv"

// get returns the value of a key, or nil.
func (n *node) get(keys ...string) *node {
	for _, key := range keys {
		n = n.child(key)
	}
	return n
}

func (n *node) child(key string) *node {
	if n == nil {
		return nil
	}
	for _, f := range n.fields {
		if f.key == key {
			return f
		}
	}
	return nil
}

// str returns a string, or "" when there is none.
func (n *node) str() string {
	if n == nil || n.kind != isString {
		return ""
	}
	return n.text
}

// isTrue is false for anything but the bool true.
func (n *node) isTrue() bool {
	return n != nil && n.kind == isBool && n.text == "true"
}

// integer returns a whole number, or the fallback.
func (n *node) integer(fallback int64) int64 {
	if n == nil || n.kind != isInt {
		return fallback
	}
	v, err := strconv.ParseInt(n.text, 0, 64)
	if err != nil {
		return fallback
	}
	return v
}

// number returns a number, or 0.
func (n *node) number() float64 {
	if n == nil || n.kind != isInt && n.kind != isNumber {
		return 0
	}
	v, _ := strconv.ParseFloat(n.text, 64)
	return v
}

// each returns the items of a list.
func (n *node) each() []*node {
	if n == nil {
		return nil
	}
	return n.items
}

// entries returns the fields of a map.
func (n *node) entries() []*node {
	if n == nil {
		return nil
	}
	return n.fields
}

// strings returns the strings of a list.
func (n *node) strings() []string {
	var out []string
	for _, item := range n.each() {
		out = append(out, item.str())
	}
	return out
}

// is reports a present value of one kind.
func (n *node) is(k nodeKind) bool { return n != nil && n.kind == k }
