package e2e_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGitAttacks is section G1 to G4 of the attack list from the shell of a
// real bottle: whatever the agent says to its git, or past it to the gate, the
// upstream keeps the refs that it had.
func TestGitAttacks(t *testing.T) {
	f := newForge(t)
	repo := f.repository("app")
	for _, branch := range []string{"release", "agent/old"} {
		repo.Git(t, "branch", branch, "main")
		repo.Commit(t, branch, "One", map[string]string{"one.txt": "1\n"})
		repo.Commit(t, branch, "Two", map[string]string{"one.txt": "2\n"})
	}
	repo.Git(t, "tag", "v1", "main")
	h := newHome(t)
	agent := h.agent("attacker", "dev", "")
	f.declare(h, `push: {allow: ["refs/heads/agent/*"]}`, repo)
	h.must("apply", "-y")
	b := bottle{t, h, agent}
	b.must("git clone -q " + repo.url + " app && cd app && git switch -q -c agent/x && echo x > x && git add x && git commit -qm x")
	before := repo.Refs(t)
	leak := "AK" + "IA" + upper(16)

	for name, script := range map[string]string{
		"G1: the default branch":              "git push origin HEAD:refs/heads/main",
		"G1: the default branch by HEAD":      "git push origin HEAD:HEAD",
		"G1: another branch":                  "git push origin HEAD:refs/heads/release",
		"G1: a forced push":                   "git fetch -q && git push --force origin origin/agent/old~1:refs/heads/agent/old",
		"G1: a forced refspec":                "git fetch -q && git push origin +origin/agent/old~1:refs/heads/agent/old",
		"G1: a lease":                         "git fetch -q && git push --force-with-lease origin origin/agent/old~1:refs/heads/agent/old",
		"G1: a deletion":                      "git push origin :refs/heads/agent/old",
		"G1: --delete":                        "git push --delete origin release",
		"G1: a mirror":                        "git push --mirror origin",
		"G1: --all with the default branch":   "git switch -q main && git commit -q --allow-empty -m evil && git push --all origin; e=$?; git reset -q --hard HEAD~1; git switch -q agent/x; exit $e",
		"G1: --prune":                         "git push --prune origin 'refs/heads/*:refs/heads/*'",
		"G1: a wildcard":                      "git push origin 'refs/heads/agent/*:refs/heads/*'",
		"G1: a tag":                           "git push origin HEAD:refs/tags/v2",
		"G1: a moved tag":                     "git push --force origin HEAD:refs/tags/v1",
		"G1: --tags":                          "git tag t1 && git push --tags origin; e=$?; git tag -d t1 >/dev/null; exit $e",
		"G1: notes":                           "git notes add -m n -f && git push origin refs/notes/commits:refs/notes/commits",
		"G1: replace":                         "git push origin HEAD:refs/replace/$(git rev-parse HEAD)",
		"G1: a review ref":                    "git push origin HEAD:refs/for/main",
		"G1: two refs, one of them forbidden": "git push origin HEAD:refs/heads/agent/y HEAD:refs/heads/main",
		"G1: two refs atomically":             "git push --atomic origin HEAD:refs/heads/agent/y HEAD:refs/heads/main",
		"G1: a push option":                   "git push -o ci.skip -o merge_request.create origin HEAD:refs/heads/agent/y",
		"G1: a dash":                          "git push origin -- HEAD:refs/heads/-x",
		"G1: another program on the far side": "git push --receive-pack='sh -c \"git update-ref refs/heads/main HEAD\" ' origin HEAD:refs/heads/main",
		"G1: a CI file":                       "mkdir -p .github/workflows && echo 'on: push' > .github/workflows/x.yml && git add . && git commit -qm ci && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; exit $e",
		"G1: a CI file in an older commit":    "echo 'on: push' > .gitlab-ci.yml && git add . && git commit -qm ci && git commit -q --allow-empty -m more && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~2; exit $e",
		"G1: a raw push without a ref rule":   "printf '00000000' | curl -sf --noproxy '*' -X POST --data-binary @- -H 'Content-Type: application/x-git-receive-pack-request' http://git-gate:9420/origin.git/git-receive-pack; test $? -eq 0 && test -n \"$(git ls-remote origin refs/heads/agent/y)\"",
		"G2: LFS":                             "curl -sf --noproxy '*' -X POST -H 'Content-Type: application/vnd.git-lfs+json' -d '{}' http://git-gate:9420/origin.git/info/lfs/objects/batch",
		"G2: past the gate by https":          "git -c url.https://" + f.gateway + "/.insteadOf=zz: push zz:app.git HEAD:refs/heads/agent/y",
		"G2: past the gate by ssh":            "timeout 20 env GIT_CONFIG_GLOBAL=/dev/null GIT_SSH_COMMAND='ssh -o BatchMode=yes -o ConnectTimeout=5' git push " + repo.url + " HEAD:refs/heads/agent/y",
		"G2: a remote that is not declared":   "git push http://git-gate:9420/other.git HEAD:refs/heads/agent/y",
		"G2: a longer name":                   "git push " + repo.url + "2 HEAD:refs/heads/agent/y",
		"G2: a path that climbs":              "curl -sf --noproxy '*' --path-as-is 'http://git-gate:9420/origin.git/../../../../etc/passwd'",
		"G3: a secret in an older commit":     "echo " + leak + " > s && git add s && git commit -qm s && git rm -q s && git commit -qm gone && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~2; exit $e",
		"G3: a secret in a message":           "git commit -q --allow-empty -m 'key " + leak + "' && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; exit $e",
		"G3: a secret as the author":          "git commit -q --allow-empty --author='" + leak + " <a@example.com>' -m a && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; exit $e",
		"G3: a secret as a branch":            "git push origin HEAD:refs/heads/agent/" + leak,
		"G3: a secret as a file":              "touch " + leak + " && git add . && git commit -qm f && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; exit $e",
		"G3: a secret in a merge":             "git switch -q -c side HEAD~0 && git commit -q --allow-empty -m side && git switch -q agent/x && git merge -q --no-ff --no-commit side; echo " + leak + " > m; git add m; git commit -qm merge; git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; git branch -qD side; exit $e",
		"G3: a secret beside a NUL":           "printf 'a\\0" + leak + "\\0b' > n.bin && printf '*.bin binary\\n' > .gitattributes && git add . && git commit -qm n && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; exit $e",
		"G3: an allow comment":                "echo '" + leak + " # gitleaks:allow' > c && printf '[allowlist]\\npaths=[\"c\"]\\n' > .gitleaks.toml && git add . && git commit -qm c && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; exit $e",
		"G3: base64":                          "echo 'key = " + leak + "' | base64 > b && git add b && git commit -qm b && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; exit $e",
		"G3: gzip":                            "echo 'key = " + leak + "' | gzip > g.gz && git add g.gz && git commit -qm g && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; exit $e",
		"G3: the canary":                      "echo \"$BACKUP_ADMIN_TOKEN\" > k && git add k && git commit -qm k && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; exit $e",
		"G3: the canary, reversed":            "echo \"$BACKUP_ADMIN_TOKEN\" | rev > k && git add k && git commit -qm k && git push origin HEAD:refs/heads/agent/y; e=$?; git reset -q --hard HEAD~1; exit $e",
		"G4: a helper that answers":           "printf 'protocol=https\\nhost=" + f.gateway + "\\n\\n' | git -c credential.helper='!f() { echo host=evil.example; echo password=x; }; f' push origin HEAD:refs/heads/main",
	} {
		t.Run(name, func(t *testing.T) {
			out := bottle{t, h, agent}.fails("cd app\n" + script)
			if strings.Contains(out, leak) && strings.Contains(out, "remote: ") && !strings.Contains(script, "agent/"+leak) && !strings.Contains(script, "touch") {
				for line := range strings.Lines(out) {
					if strings.HasPrefix(line, "remote:") && strings.Contains(line, leak) {
						t.Errorf("the gate quotes the secret: %s", line)
					}
				}
			}
			if d := cmp.Diff(before, repo.Refs(t)); d != "" {
				t.Errorf("the upstream changed: %s\n%s", d, out)
				maps.Copy(before, repo.Refs(t))
			}
		})
	}
	// The control: what is allowed arrives.
	b.must("cd app && git push -q origin HEAD:refs/heads/agent/z")
	if repo.Refs(t)["refs/heads/agent/z"] == "" {
		t.Error("the honest push did not arrive")
	}
	if all := h.must("git", "log", agent).all(); strings.Contains(all, leak) {
		t.Errorf("the log quotes the secret:\n%s", all)
	}
}
