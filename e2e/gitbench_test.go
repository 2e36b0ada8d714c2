package e2e_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/bb/egress/gitgate/gittest"
)

// BenchmarkGit clones 5,000 commits of 50 MB and pushes one commit, from a
// bottle through the gate and from this host by plain ssh to the same sshd, in
// turn. Times are those of git alone, without bb exec.
func BenchmarkGit(b *testing.B) {
	f := newForge(b)
	repo := f.repository("app")
	history(b, repo.Dir, 5000, 10_000)
	h := newHome(b)
	agent := h.agent("coder", "dev", "")
	f.declare(h, "", repo)
	h.must("apply", "-y")
	h.settled()
	inside, dir := bottle{b, h, agent}, b.TempDir()
	known := filepath.Join(dir, "known")
	if err := os.WriteFile(known, fmt.Appendf(nil, "[%s]:%d %s\n", f.Host, f.Port, f.HostKey), 0o600); err != nil {
		b.Fatal(err)
	}
	plain := func(script string) string {
		b.Helper()
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(gittest.Environ(), "GIT_SSH_COMMAND=ssh -F none -o IdentitiesOnly=yes -o IdentityAgent=none -i "+repo.key+" -o UserKnownHostsFile="+known)
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("%s: %v\n%s", script, err, out)
		}
		return string(out)
	}
	b.ResetTimer()
	for range b.N {
		cold := timed(b, inside.must, "git clone -q "+repo.url+" cold && rm -rf cold") // fills the mirror
		var clones, pushes, bareClones, barePushes []time.Duration
		for i := range 3 {
			clone := "git clone -q " + repo.url + " app"
			push := "git -C app push -q origin HEAD:refs/heads/"
			clones = append(clones, timed(b, inside.must, "rm -rf app", clone))
			bareClones = append(bareClones, timed(b, plain, "rm -rf app", clone))
			inside.must("cd app && date +%N > new && git add new && git commit -qm New")
			plain("cd app && date +%N > new && git add new && git commit -qm New")
			pushes = append(pushes, timed(b, inside.must, push+fmt.Sprint("gate-", i, random(3))))
			barePushes = append(barePushes, timed(b, plain, push+fmt.Sprint("plain-", i, random(3))))
		}
		b.ReportMetric(cold.Seconds(), "first-clone-s")
		b.ReportMetric(median(clones).Seconds(), "clone-s")
		b.ReportMetric(median(bareClones).Seconds(), "ssh-clone-s")
		b.ReportMetric(median(clones).Seconds()/median(bareClones).Seconds(), "clone-ratio")
		b.ReportMetric(median(pushes).Seconds(), "push-s")
		b.ReportMetric(median(barePushes).Seconds(), "ssh-push-s")
		b.ReportMetric(median(pushes).Seconds()/median(barePushes).Seconds(), "push-ratio")
		b.ReportMetric(0, "ns/op")
	}
}

// timed runs scripts and returns how long the last one took by the clock of the
// shell that ran it.
func timed(b *testing.B, run func(string) string, scripts ...string) time.Duration {
	b.Helper()
	for _, s := range scripts[:len(scripts)-1] {
		run(s)
	}
	out := strings.TrimSpace(run("s=$(date +%s%N)\n" + scripts[len(scripts)-1] + " || exit 1\necho $(($(date +%s%N) - s))"))
	ns, err := strconv.ParseInt(out[strings.LastIndex(out, "\n")+1:], 10, 64)
	if err != nil {
		b.Fatalf("no time in %q", out)
	}
	return time.Duration(ns)
}

// history adds commits with one new random file of so many bytes each to main.
func history(b *testing.B, dir string, commits, size int) {
	b.Helper()
	var in bytes.Buffer
	content := make([]byte, size)
	for i := range commits {
		in.WriteString("commit refs/heads/main\ncommitter A <a@example.com> now\ndata 3\nAdd\n")
		if i == 0 {
			in.WriteString("from refs/heads/main^0\n")
		}
		_, _ = rand.Read(content) // never fails
		fmt.Fprintf(&in, "M 100644 inline d%d/f%d\ndata %d\n", i%50, i, size)
		in.Write(content)
		in.WriteByte('\n')
	}
	cmd := exec.Command("git", "fast-import", "--quiet", "--date-format=now")
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gittest.Environ(), &in
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("fast-import: %v\n%s", err, out)
	}
}
