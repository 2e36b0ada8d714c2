package docker

import (
	"context"
	"encoding/json"

	"github.com/docker/docker/api/types/container"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
)

var _ backends.Meter = (*Driver)(nil)

// Memory is what an agent uses without what the kernel could drop, in bytes, as
// `docker stats` counts it; 0 when it does not run.
func (d *Driver) Memory(ctx context.Context, id spec.ID) (int64, error) {
	r, err := d.engine.ContainerStatsOneShot(ctx, id.Name())
	if err != nil {
		return 0, d.wrap(err, "memory of %s", id)
	}
	defer r.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		return 0, d.wrap(err, "memory of %s", id)
	}
	used := s.MemoryStats.Usage
	for _, name := range []string{"total_inactive_file", "inactive_file"} { // cgroup v1, v2
		if idle, ok := s.MemoryStats.Stats[name]; ok && idle < used {
			return int64(used - idle), nil
		}
	}
	return int64(used), nil
}
