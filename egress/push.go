package egress

import (
	"fmt"
	"strings"
)

// DefaultProtect are the files by which known forges run programs with secrets
// of their own.
var DefaultProtect = []string{
	".github/workflows/**", ".github/actions/**", ".gitea/workflows/**", ".forgejo/workflows/**",
	".gitlab-ci.yml", ".circleci/**", "azure-pipelines.yml", "bitbucket-pipelines.yml", "Jenkinsfile",
	".drone.yml", ".woodpecker.yml", ".woodpecker/**", ".travis.yml", ".buildkite/**",
}

// CheckPush judges the patterns of a rule.
func CheckPush(p Push) error {
	for _, a := range p.Allow {
		if !strings.HasPrefix(a, "refs/") {
			return fmt.Errorf("push.allow: %q must be a full name that begins with refs/, such as \"refs/heads/agent/*\"", a)
		}
	}
	for _, path := range p.Protect {
		if path == "" || strings.HasPrefix(path, "/") {
			return fmt.Errorf("push.protect: %q begins or ends with a slash, or has two in a row: paths are relative to the repository", path)
		}
	}
	return nil
}
