package pipelock

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// major is the one version of the configuration's language that Render speaks.
const major = "2"

var versionText = regexp.MustCompile(`(?m)^pipelock version v?([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})(?:[-+][0-9A-Za-z.+-]{1,64})?\r?$`)

// ParseVersion finds the version in what "pipelock --version" prints.
func ParseVersion(output string) (string, error) {
	m := versionText.FindStringSubmatch(output)
	if m == nil {
		return "", errors.New("it does not say which version of pipelock it is")
	}
	return strings.Join(m[1:4], "."), nil
}

// Supported reports whether Render can write for a version.
func Supported(version string) error {
	if first, _, _ := strings.Cut(version, "."); first != major {
		return fmt.Errorf("pipelock %s is not supported: bb writes configurations for version %s", version, major)
	}
	return nil
}
