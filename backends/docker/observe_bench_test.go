package docker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/bot-bottle/bb/engine/parallel"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// BenchmarkObserve looks at many bottles on the real engine: small containers
// with the labels of agents and running sidecars, which say one state line.
// Beside the time it reports the ratio to the engine's bare list of containers
// in the same run, and the same for Orphans.
func BenchmarkObserve(b *testing.B) {
	const bottles = 40
	d, specs := manyBottles(b, bottles)
	q := plan.Query{Owner: d.opts.Owner, Scopes: []string{specs[0].ID.Scope}, Specs: specs}
	ctx := b.Context()
	var list, observe, orphans time.Duration
	timed := func(sum *time.Duration, f func() error) {
		begin := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		*sum += time.Since(begin)
	}
	for b.Loop() {
		timed(&list, func() error {
			_, err := d.engine.ContainerList(ctx, container.ListOptions{All: true})
			return err
		})
		timed(&observe, func() error {
			w, err := d.Observe(ctx, q)
			if err == nil && len(w.Instances) != bottles {
				err = fmt.Errorf("%d instances", len(w.Instances))
			}
			for _, i := range w.Instances {
				if i.State == nil || i.Agent == nil {
					err = fmt.Errorf("%s: %+v", i.ID, i)
				}
			}
			return err
		})
		timed(&orphans, func() error {
			_, err := d.Orphans(ctx)
			return err
		})
	}
	b.ReportMetric(float64(list.Microseconds())/1e3/float64(b.N), "list-ms")
	b.ReportMetric(float64(observe.Microseconds())/1e3/float64(b.N), "observe-ms")
	b.ReportMetric(float64(orphans.Microseconds())/1e3/float64(b.N), "orphans-ms")
	b.ReportMetric(float64(observe)/float64(list), "observe/list")
	b.ReportMetric(float64(orphans)/float64(list), "orphans/list")
}

// manyBottles makes what an engine with n running bottles lists.
func manyBottles(b *testing.B, n int) (*Driver, []*spec.Spec) {
	b.Helper()
	owner := strings.Repeat("0b", 16)
	d, err := New(Options{Owner: owner, Version: "test", Binary: testBinary})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := d.ensureImageID(b.Context(), DefaultBaseImage); err != nil {
		b.Fatal(err)
	}
	var specs []*spec.Spec
	var work []func() error
	for i := range n {
		s := &spec.Spec{
			ID:      spec.ID{Scope: "0badc0de0badc0de", Agent: "dev", Replica: fmt.Sprint(i + 1)},
			Backend: "docker", Image: spec.Image{Name: "base", Ref: DefaultBaseImage},
		}
		specs = append(specs, s)
		for name, role := range map[string]string{s.ID.Name(): spec.RoleAgent, s.ID.Sidecar(): spec.RoleSidecar} {
			work = append(work, func() error {
				line := `{"bb":1,"state":"configured","live":{"egress":"` + strings.Repeat("v", 64) + `"}}`
				made, err := d.engine.ContainerCreate(b.Context(), &container.Config{
					Image: DefaultBaseImage, Cmd: []string{"sh", "-c", "echo '" + line + "'; exec sleep 1000"},
					Labels: d.identity(s.ID, role),
				}, &container.HostConfig{NetworkMode: "none"}, &network.NetworkingConfig{}, nil, name)
				if err != nil {
					return err
				}
				b.Cleanup(func() { _ = d.remove(context.WithoutCancel(b.Context()), made.ID, name) })
				if role == spec.RoleAgent {
					return nil // observe asks it nothing, running or not
				}
				return d.engine.ContainerStart(b.Context(), made.ID, container.StartOptions{})
			})
		}
	}
	for _, err := range parallel.Run(4, work...) {
		if err != nil {
			b.Fatal(err)
		}
	}
	return d, specs
}
