package fakesmol

import (
	"encoding/json"
	"fmt"
	"os"
)

func (s *state) json(r *record) map[string]any {
	now, pid := s.now(r)
	m := map[string]any{
		"name": r.Name, "state": now, "cpus": r.CPUs, "memory_mib": r.Memory, "pid": nil,
		"mounts": len(r.Volumes), "ports": 0, "created_at": r.CreatedAt, "storage_gb": r.Storage, "overlay_gb": r.Overlay,
		"image": r.Image, "entrypoint": []string{}, "cmd": append([]string{}, r.Command...), "labels": r.Labels,
		"ephemeral": false, "gpu": false, "gpu_vram_mib": nil, "cuda": false, "forkable": false, "forkpoint_held": false,
		"cuda_fork_pool_size": nil, "cuda_vram_limit_mib": nil, "network": r.Network,
		"restart_policy": "never", "restart_max_retries": 0, "restart_count": 0,
		"health_cmd": nil, "health_interval_secs": nil, "health_timeout_secs": nil, "health_retries": nil, "health_startup_grace_secs": nil,
	}
	if pid != 0 {
		m["pid"] = pid
	}
	return m
}

// emit prints JSON, or a part of it where a test asks for that.
func (s *state) emit(verb string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if s.take(verb, FaultTruncate) {
		_, err = os.Stdout.Write(b[:len(b)/2])
		return err
	}
	fmt.Println(string(b))
	return nil
}

func list(s *state, p *parsed) error {
	all, err := s.all()
	if err != nil {
		return err
	}
	if p.has("json") {
		machines := []any{}
		for _, r := range all {
			machines = append(machines, s.json(r))
		}
		return s.emit("ls", machines)
	}
	fmt.Printf("%-18s %-12s\n", "NAME", "STATE")
	for _, r := range all {
		now, _ := s.now(r)
		fmt.Printf("%-18.18s %-12s\n", r.Name, now)
	}
	return nil
}

func status(s *state, p *parsed) error {
	r, err := s.known(p)
	if err != nil {
		if p.has("json") && r == nil {
			return fail("config operation failed: machine status: machine '%s' not found", p.one("name"))
		}
		return err
	}
	if p.has("json") {
		return s.emit("status", s.json(r))
	}
	if now, pid := s.now(r); pid != 0 {
		fmt.Printf("Machine '%s': %s (PID: %d)\n", r.Name, now, pid)
	} else {
		fmt.Printf("Machine '%s': %s\n", r.Name, now)
	}
	return nil
}

func dataDir(s *state, p *parsed) error {
	r, err := s.known(p)
	if err == nil {
		fmt.Println(s.home(r.Name))
	}
	return err
}
