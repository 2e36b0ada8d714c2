package manifest

import (
	"fmt"
	"strings"
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

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := tree(b, fleetOf(n))
			for b.Loop() {
				loaded(b, o)
			}
		})
	}
}

func TestDiamondsStayLinear(t *testing.T) {
	files := map[string]string{"home/bottles/l0.md": md(""), "home/bottles/r0.md": md("")}
	for i := 1; i <= 40; i++ {
		for _, side := range []string{"l", "r"} {
			files[fmt.Sprintf("home/bottles/%s%d.md", side, i)] = md(fmt.Sprintf("extends: [l%d, r%d]\nenv: {%s%d: x}", i-1, i-1, side, i))
		}
	}
	start := time.Now()
	fleet := loaded(t, tree(t, files))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if n := len(fleet.Bottles["r40"].Env); n != 79 {
		t.Errorf("%d variables, want 79", n)
	}
}
