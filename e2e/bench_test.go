package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// median of some times.
func median(times []time.Duration) time.Duration {
	times = slices.Clone(times)
	slices.Sort(times)
	return times[len(times)/2]
}

func since(begin time.Time, times *[]time.Duration) { *times = append(*times, time.Since(begin)) }

// shellFleet is one agent with n replicas in a bottle that needs no outside.
func shellFleet(b testing.TB, n int) (*home, string) {
	b.Helper()
	h := newHome(b)
	h.bottle("closed", "agent_provider: {template: shell}\nresources: {memory: 64MiB, pids: 32}")
	agent := "worker-" + h.id
	h.write("agents/"+agent+".md", fmt.Sprintf("---\nbottle: closed\nreplicas: %d\n---\nWork.\n", n))
	return h, agent
}

// BenchmarkApply compares bb with a program that sends the same calls to the
// engine, uploads and execs included, and does not think: for each bottle one
// after the other, as many at once as bb has operations.
func BenchmarkApply(b *testing.B) {
	const parallel, rounds = 4, 3
	for _, n := range []int{1, 5, 10, 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, _ := shellFleet(b, n)
			h.must("apply", "-y") // images are there from now on
			h.must("destroy", "-y")
			s := record(b, h)
			h.must("destroy", "-y")
			if len(s.bottles) != n {
				b.Fatalf("want %d sequences, got %d", n, len(s.bottles))
			}
			view, player := viewEngine(b, engineSocket(b)), newPlayer(b, engineSocket(b))
			up := func(who string) {
				b.Helper()
				if wrong := view.ungated(h.id); len(wrong) > 0 || len(view.containers(h.id)) != 2*n {
					b.Fatalf("%s made no sound bottles: %v", who, wrong)
				}
				h.must("destroy", "-y")
			}
			b.ResetTimer()
			for range b.N {
				var thinking, bare []time.Duration
				for range rounds {
					begin := time.Now()
					h.must("apply", "-y")
					since(begin, &thinking)
					up("bb")
					begin = time.Now()
					if err := player.play(s, parallel); err != nil {
						b.Fatal(err)
					}
					since(begin, &bare)
					up("the baseline")
				}
				b.ReportMetric(median(thinking).Seconds(), "bb-s")
				b.ReportMetric(median(bare).Seconds(), "baseline-s")
				b.ReportMetric(median(thinking).Seconds()/median(bare).Seconds(), "ratio")
				b.ReportMetric(float64(s.size()), "requests")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// BenchmarkNoOp compares an apply that has nothing to do with a plan.
func BenchmarkNoOp(b *testing.B) {
	h, _ := shellFleet(b, 5)
	h.must("apply", "-y")
	b.ResetTimer()
	for range b.N {
		var plans, applies []time.Duration
		for range 11 {
			begin := time.Now()
			h.must("plan")
			since(begin, &plans)
			begin = time.Now()
			h.must("apply", "-y")
			since(begin, &applies)
		}
		b.ReportMetric(float64(median(plans).Milliseconds()), "plan-ms")
		b.ReportMetric(float64(median(applies).Milliseconds()), "apply-ms")
		b.ReportMetric(median(applies).Seconds()/median(plans).Seconds(), "ratio")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkUpdateInPlace measures from the start of `bb apply -y` to the first
// answer that the new policy lets through to a program in the bottle, which
// asks every 5 ms.
func BenchmarkUpdateInPlace(b *testing.B) {
	u := newUpstream(b, "allowed.test")
	h := newHome(b)
	bottle := func(n int) string {
		path := fmt.Sprintf("/hello/%d", n)
		h.bottle("open", "agent_provider: {template: shell}\negress:\n"+u.egress()+"  routes:\n"+
			u.route("allowed.test", "path_allowlist: ["+path+"]"))
		return "https://allowed.test" + path
	}
	bottle(0)
	agent := h.agent("worker", "open", "")
	h.must("apply", "-y")
	probe := push(b, containerOf(b, agent, false), probeBinary)
	b.ResetTimer()
	for range b.N {
		var enforced, ended []time.Duration
		for n := range 20 {
			address := bottle(n + 1)
			polling := startHolding(b, h, agent, probe, "-every", "5ms", "-once", address)
			eventually(b, "the address is refused", func() bool { return strings.Contains(polling.out.String(), `"out":false`) })
			begin := time.Now()
			h.must("apply", "-y")
			since(begin, &ended)
			eventually(b, "the address is let through", polling.works)
			for line := range strings.Lines(polling.out.String()) {
				if a := parse(b, line); a[0].Out {
					enforced = append(enforced, time.Unix(0, a[0].At).Sub(begin))
				}
			}
		}
		b.ReportMetric(float64(median(enforced).Milliseconds()), "enforced-ms")
		b.ReportMetric(float64(slices.Max(enforced).Milliseconds()), "enforced-max-ms")
		b.ReportMetric(float64(median(ended).Milliseconds()), "apply-ms")
		b.ReportMetric(0, "ns/op")
	}
}

// planCost measures plans that find nothing to do.
func planCost(b *testing.B, h *home, args ...string) {
	b.Helper()
	b.ResetTimer()
	for range b.N {
		var times, cpu []time.Duration
		var peak int64
		for range 7 {
			begin := time.Now()
			r := h.must(append([]string{"plan"}, args...)...)
			since(begin, &times)
			r.says(b, "No changes.")
			peak, cpu = max(peak, r.peak), append(cpu, r.cpu)
		}
		b.ReportMetric(median(cpu).Seconds(), "cpu-s") // of bb, whatever else the machine does
		b.ReportMetric(median(times).Seconds(), "plan-s")
		b.ReportMetric(slices.Max(times).Seconds(), "plan-max-s")
		b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkPlanRunning plans bottles that run on the real engine.
func BenchmarkPlanRunning(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, _ := shellFleet(b, n)
			begin := time.Now()
			r := h.must("apply", "-y")
			made := time.Since(begin)
			planCost(b, h)
			sidecar, agent := idleMemory(b, h)
			b.ReportMetric(made.Seconds(), "create-s")
			b.ReportMetric(float64(r.peak)/(1<<20), "create-peak-MiB")
			b.ReportMetric(sidecar/(1<<20), "sidecar-MiB")
			b.ReportMetric(agent/(1<<20), "agent-MiB")
			b.StopTimer()
			begin = time.Now()
			h.must("destroy", "-y")
			b.ReportMetric(time.Since(begin).Seconds(), "destroy-s")
		})
	}
}

// BenchmarkPlanFake plans on the in-memory driver: what bb itself costs.
func BenchmarkPlanFake(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newHome(b)
			h.bottle("b", `
agent_provider: {template: shell}
git_user: {name: N, email: n@example.com}
egress:
  routes:
    - {host: a.test, path_allowlist: [/a]}
    - {host: "*.b.test"}`)
			agent := func(n int) { h.write(fmt.Sprintf("agents/a%d.md", n), "---\nbottle: b\n---\nWork.\n") }
			agent(0)
			h.must("--backend", "fake", "apply", "-y")
			for n := range n {
				agent(n)
			}
			multiply(b, filepath.Join(h.dir, "state", "fake.json"), n)
			planCost(b, h, "--backend", "fake")
		})
	}
}

// multiply writes n bottles into a world of the in-memory driver that has one,
// of the agent a0. To apply so many there takes hours: it writes its whole
// world for every call.
func multiply(b testing.TB, file string, n int) {
	b.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	var world map[string]json.RawMessage
	if err := json.Unmarshal(text, &world); err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"containers", "volumes"} {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(world[kind], &all); err != nil {
			b.Fatal(err)
		}
		for name, one := range maps.Clone(all) {
			for n := range n {
				is := strings.NewReplacer("bb-a0-", fmt.Sprintf("bb-a%d-", n), `"a0"`, fmt.Sprintf(`"a%d"`, n), "a0.md", fmt.Sprintf("a%d.md", n),
					`"ref": "c`, fmt.Sprintf(`"ref": "c%d-`, n))
				all[is.Replace(name)] = json.RawMessage(is.Replace(string(one)))
			}
		}
		if world[kind], err = json.Marshal(all); err != nil {
			b.Fatal(err)
		}
	}
	if text, err = json.Marshal(world); err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// idleMemory is the mean of what the engine counts for bottles that do
// nothing, without what the kernel only caches.
func idleMemory(b testing.TB, h *home) (sidecar, agent float64) {
	b.Helper()
	view := viewEngine(b, engineSocket(b))
	sum, count := map[string]float64{}, map[string]float64{}
	for _, c := range view.containers(h.id) {
		if role := c.Labels["bb.role"]; count[role] < 10 {
			var s struct {
				Memory struct {
					Usage float64
					Stats map[string]float64
				} `json:"memory_stats"`
			}
			view.get("/containers/"+c.ID+"/stats?stream=0&one-shot=1", &s)
			cached := s.Memory.Stats["total_inactive_file"] + s.Memory.Stats["inactive_file"]
			if v, ok := s.Memory.Stats["total_inactive_file"]; ok {
				cached = v // the first version of control groups counts both
			}
			sum[role] += s.Memory.Usage - cached
			count[role]++
		}
	}
	return sum["sidecar"] / count["sidecar"], sum["agent"] / count["agent"]
}

// peakOf is the most memory that an ended process had, in bytes.
func peakOf(usage any) int64 {
	r, ok := usage.(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "linux" {
		return r.Maxrss << 10 // in kilobytes there
	}
	return r.Maxrss
}
