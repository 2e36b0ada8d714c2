package docker

import (
	"cmp"
	"regexp"
	"strconv"
)

// version is what bb compares of a program's version: three numbers, and the
// number of a release candidate, which comes before the release.
type version struct{ major, minor, patch, rc int }

const released = 1 << 30

var versionText = regexp.MustCompile(`^v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?:[-~.]?(rc|beta|alpha|dev)[-.]?(\d{0,6}))?`)

// parseVersion reads a version as projects and distributions write it:
// 1.4.0-rc.2, 1.0.0-rc93+dev, 1.1.5+ds1, 20.10.24+dfsg1, 1.2.0~rc1.
func parseVersion(text string) (v version, ok bool) {
	m := versionText.FindStringSubmatch(text)
	if m == nil {
		return v, false
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n } // digits or nothing
	v = version{number(m[1]), number(m[2]), number(m[3]), released}
	switch m[4] {
	case "rc":
		v.rc = number(m[5])
	case "":
	default:
		v.rc = -1
	}
	return v, true
}

func (v version) compare(o version) int {
	return cmp.Or(cmp.Compare(v.major, o.major), cmp.Compare(v.minor, o.minor),
		cmp.Compare(v.patch, o.patch), cmp.Compare(v.rc, o.rc))
}

// danger is a known way out of a container, or into the engine.
type danger struct {
	program string // engine, runc, desktop
	what    string
	// fixed are the first good versions, one for each line of releases, in
	// order. A line is major.minor; an older line was never mended, one newer
	// than all began mended.
	fixed []string
}

// dangers are from the advisories of the projects.
var dangers = []danger{
	{"runc", "CVE-2024-21626: a container reaches the machine's files by a leaked descriptor", []string{"1.1.12"}},
	{"runc", "CVE-2025-31133, -52565 and -52881: a container writes to files of /proc on the machine", []string{"1.2.8", "1.3.3", "1.4.0-rc.3"}},
	{"engine", "CVE-2021-41089: placing files in a container changes permissions on the machine", []string{"20.10.9"}},
	{"desktop", "CVE-2025-9074: containers reach the engine's API without its socket", []string{"4.44.3"}},
}

// affects reports whether a version is known to be dangerous. One that cannot
// be read is not known to be.
func (d danger) affects(text string) bool {
	v, ok := parseVersion(text)
	if !ok {
		return false
	}
	for _, f := range d.fixed {
		good, _ := parseVersion(f)
		if v.major == good.major && v.minor == good.minor {
			return v.compare(good) < 0
		}
	}
	first, _ := parseVersion(d.fixed[0])
	return v.compare(first) < 0
}
