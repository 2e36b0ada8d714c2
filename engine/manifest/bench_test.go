package manifest

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fleetOf has chains of depth ten, each with environment, identity and routes.
func fleetOf(bottles int) map[string]string {
	files := map[string]string{}
	for i := range bottles {
		var text strings.Builder
		if i%10 > 0 {
			fmt.Fprintf(&text, "extends: b%d\n", i-1)
		}
		fmt.Fprintf(&text, "env: {A%d: x, B: y, C: z, D: w, E: v}\ngit_user: {name: n%d}\n", i, i)
		if i%3 == 0 {
			text.WriteString("egress:\n  routes:\n    - host: a.example.com\n      auth: {scheme: Bearer, token_ref: A}\n    - host: b.example.com\n")
		}
		files[fmt.Sprintf("home/bottles/b%d.md", i)] = md(text.String())
	}
	files["home/agents/ann.md"] = md(fmt.Sprintf("bottle: b%d", bottles-1))
	return files
}

// BenchmarkLoad reports the processor's time beside the wall's, because the
// latter says little on a busy machine, and the most memory that the process
// ever had: run one size alone for that. The goals for 1, 100 and 1,000 bottles
// are 25, 60 and 400 ms, under 80 MB.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { measure(b, tree(b, fleetOf(n))) })
	}
	b.Run("diamond", func(b *testing.B) { measure(b, tree(b, diamonds())) })
}

func measure(b *testing.B, o Options) {
	b.Helper()
	before := cpuTime(b)
	for b.Loop() {
		loaded(b, o)
	}
	b.ReportMetric(float64((cpuTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(usage(b).Maxrss)/1024, "peak-MB")
}

func usage(b *testing.B) *syscall.Rusage {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return &u
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	u := usage(b)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// diamonds are 40 layers of two, each of which extends both of the layer below.
func diamonds() map[string]string {
	files := map[string]string{"home/bottles/l0.md": md(""), "home/bottles/r0.md": md("")}
	for i := 1; i <= 40; i++ {
		for _, side := range []string{"l", "r"} {
			files[fmt.Sprintf("home/bottles/%s%d.md", side, i)] = md(fmt.Sprintf("extends: [l%d, r%d]\nenv: {%s%d: x}", i-1, i-1, side, i))
		}
	}
	return files
}

func TestDiamondsStayLinear(t *testing.T) {
	o := tree(t, diamonds())
	start := time.Now()
	fleet := loaded(t, o)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if n := len(fleet.Bottles["r40"].Env); n != 79 {
		t.Errorf("%d variables, want 79", n)
	}
}
