package egress

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultProtect lists the files that tell forges and build servers what to
// run, as they are documented there: what is in them runs with the forge's
// secrets, some of it for a branch that nobody has looked at.
var DefaultProtect = []string{
	".github/workflows", ".github/actions",
	"**/*.gitlab-ci.yml", ".gitlab/ci", ".gitlab-ci",
	".gitea/workflows", ".gitea/actions",
	".forgejo/workflows", ".forgejo/actions",
	".woodpecker", ".woodpecker.*",
	".drone.*",
	".circleci",
	"**/Jenkinsfile", "**/Jenkinsfile.*", "**/*.jenkinsfile",
	"**/azure-pipelines*.yml", "**/azure-pipelines*.yaml", ".azure-pipelines", ".azuredevops", ".vsts-ci.yml",
	"bitbucket-pipelines.yml",
	".travis.yml",
	".buildkite",
	"appveyor.yml", ".appveyor.yml",
	".cirrus.*",
	".semaphore",
	".build.yml", ".builds",
	".teamcity", "bamboo-specs",
	"buildspec.yml", "buildspec.yaml", "cloudbuild.yaml", "cloudbuild.yml", "cloudbuild.json",
	".tekton", ".harness", ".onedev-buildspec.yml", "screwdriver.yaml",
	"codefresh.yml", ".codefresh", "wercker.yml", "bitrise.yml", "codemagic.yaml",
	".zuul.yaml", ".zuul.d", "zuul.yaml", "zuul.d",
	".copr", ".packit.yaml", ".prow.yaml",
}

// Protects returns the pattern of Protect that covers a path, or "". A pattern
// names a file, or a directory with all below it. Its components are compared
// one by one and without case: `*` stands for any characters within one, and
// the component `**` for any number of them. link says that the path is a
// symbolic link or a submodule: then it counts also when what a pattern names
// could lie below it.
func (p Push) Protects(path string, link bool) string {
	parts := strings.Split(strings.ToLower(path), "/")
	for _, pattern := range p.Protect {
		// A pattern that begins with ** could lie below every link.
		below := link && !strings.HasPrefix(pattern, "**")
		if matchPath(strings.Split(strings.ToLower(pattern), "/"), parts, below) {
			return pattern
		}
	}
	return ""
}

// matchPath compares components; below accepts a path that ends before the
// pattern does.
func matchPath(pattern, path []string, below bool) bool {
	switch {
	case len(pattern) == 0:
		return true
	case pattern[0] == "**":
		return len(pattern) == 1 || matchPath(pattern[1:], path, below) || len(path) > 0 && matchPath(pattern, path[1:], below)
	case len(path) == 0:
		return below
	}
	return matchComponent(pattern[0], path[0]) && matchPath(pattern[1:], path[1:], below)
}

// matchComponent is greedy from the left: with * as the only magic that finds
// a match where there is one.
func matchComponent(pattern, s string) bool {
	before, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	s, found := strings.CutPrefix(s, before)
	if !found {
		return false
	}
	for {
		middle, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, middle)
		}
		if _, s, found = strings.Cut(s, middle); !found {
			return false
		}
		rest = after
	}
}

func checkPathPattern(pattern string) error {
	switch {
	case pattern == "":
		return errors.New("is empty")
	case !utf8.ValidString(pattern), strings.IndexFunc(pattern, unicode.IsControl) >= 0:
		return errors.New("has a control character, or is not valid UTF-8")
	case strings.ContainsAny(pattern, "\\?[]{}!"):
		return errors.New("has magic that is not known here: only * is")
	case len(pattern) > maxRef:
		return errors.New("is too long")
	}
	deep := 0
	for c := range strings.SplitSeq(pattern, "/") {
		switch {
		case c == "":
			return errors.New("begins or ends with a slash, or has two in a row: paths are relative to the repository")
		case c == ".", c == "..":
			return errors.New("has a dot component")
		case c == "**":
			deep++
		case strings.Contains(c, "**"):
			return errors.New("has ** beside something else in a component")
		}
	}
	if deep > 2 {
		return errors.New("has more than two **")
	}
	return nil
}
