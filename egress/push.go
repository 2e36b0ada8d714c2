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
			return fmt.Errorf("push.protect: %q must be a path from the root of the repository, without a slash before it", path)
		}
	}
	return nil
}
