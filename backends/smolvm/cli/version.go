package cli

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// Version of smolvm.
type Version struct{ Major, Minor, Patch int }

// MinVersion is the first release with labels on machines.
var MinVersion = Version{1, 8, 0}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch)) < 0
}

var versionLine = regexp.MustCompile(`(?m)^smolvm (\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[-+ ].*)?\r?$`)

// ParseVersion reads what `smolvm --version` prints: "smolvm 1.9.2". A suffix
// such as "-rc1" counts for nothing.
func ParseVersion(out string) (Version, error) {
	m := versionLine.FindStringSubmatch(out)
	if m == nil {
		return Version{}, fmt.Errorf("no version in what --version prints: %q", clip(out, 80))
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // at most six digits
	}
	return Version{n[0], n[1], n[2]}, nil
}

// Features are the flags of `smolvm machine create`.
type Features struct{ flags map[string]bool }

var helpFlag = regexp.MustCompile(`(?m)^ {1,12}(?:-[A-Za-z], )?(--[a-z][a-z0-9-]*)\b`)

// ParseFeatures reads the help text of `machine create`.
func ParseFeatures(help string) Features {
	f := Features{map[string]bool{}}
	for _, m := range helpFlag.FindAllStringSubmatch(help, -1) {
		f.flags[m[1]] = true
	}
	return f
}

// Has reports whether create knows a flag: "--label".
func (f Features) Has(flag string) bool { return f.flags[flag] }

// needed are the flags without which there is no bottle.
var needed = []string{"--name", "--label", "--mount-socket", "--image", "--cpus", "--mem", "--storage", "--overlay", "--volume"}

func (f Features) lacks() []string {
	return slices.DeleteFunc(slices.Clone(needed), f.Has)
}
