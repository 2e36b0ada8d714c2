package manifest

import (
	"strconv"
	"strings"
	"testing"
)

// asJSON writes nodes as JSON, which is CUE too.
func asJSON(t *testing.T, n *node) string {
	t.Helper()
	var parts []string
	switch n.kind {
	case isMap:
		for _, child := range n.fields {
			parts = append(parts, quote(child.key)+": "+asJSON(t, child))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case isList:
		for _, item := range n.items {
			parts = append(parts, asJSON(t, item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case isString:
		return quote(n.text)
	case isOther:
		return `''`
	}
	return n.text
}

func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == '"' || r == '\\' {
			b.WriteString(`\u` + strings.Repeat("0", 4-len(strconv.FormatInt(int64(r), 16))) + strconv.FormatInt(int64(r), 16))
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}
