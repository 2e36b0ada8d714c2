package smolvm

import "testing"

func TestImageThatCannotBeCompared(t *testing.T) {
	const ref, id, other = "registry.example.com/a:1", "@0123456789ab", "@ba9876543210"
	for _, tt := range []struct {
		what, have, want string
		same             bool
	}{
		{"the engine went", ref + id, ref, true},
		{"an engine came", ref, ref + id, true},
		{"the tag moved", ref + id, ref + other, false},
		{"another reference without an engine", ref + id, "registry.example.com/a:2", false},
		{"another reference with one", ref, "registry.example.com/a:2" + id, false},
		{"a file that changed", "/images/a.tar" + id, "/images/a.tar" + other, false},
		{"a file, after a reference", ref, "/images/a.tar" + id, false},
		{"nothing is known", ref + id, "", false},
		{"nothing was known", "", ref + id, false},
		{"a reference by digest", ref + "@sha256:" + id[1:] + id, ref + "@sha256:" + id[1:], true},
	} {
		if got := sameAsKnown(tt.have, tt.want); got != tt.same {
			t.Errorf("%s: %v", tt.what, got)
		}
	}
}
