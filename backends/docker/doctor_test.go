package docker

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"
	"github.com/google/go-cmp/cmp"

	"github.com/bot-bottle/bb/backends"
)

func TestDangers(t *testing.T) {
	for _, tt := range []struct {
		program, version string
		want             string // the beginnings of what is known
	}{
		{"runc", "1.0.0-rc93", "2024-21626 2025-31133"},
		{"runc", "1.1.5+ds1", "2024-21626 2025-31133"},
		{"runc", "1.1.11", "2024-21626 2025-31133"},
		{"runc", "1.1.12", "2025-31133"},
		{"runc", "1.1.12-0ubuntu3.1", "2025-31133"},
		{"runc", "1.2.0~rc1", "2025-31133"},
		{"runc", "1.2.7", "2025-31133"},
		{"runc", "1.2.8", ""},
		{"runc", "1.3.0-rc.1", "2025-31133"},
		{"runc", "1.3.2", "2025-31133"},
		{"runc", "v1.3.3", ""},
		{"runc", "1.3.3+ds1", ""},
		{"runc", "1.4.0-rc.2+dev", "2025-31133"},
		{"runc", "1.4.0-rc.3", ""},
		{"runc", "1.4.0", ""},
		{"runc", "1.5.0-rc.1", ""},
		{"runc", "2.0.0", ""},
		{"engine", "20.10.8", "2021-41089"},
		{"engine", "20.10.24+dfsg1", ""},
		{"engine", "28.5.2", ""},
		{"desktop", "4.44.2", "2025-9074"},
		{"desktop", "4.44.3", ""},
		{"desktop", "4.5.0", "2025-9074"},
		{"runc", "unknown", ""},
		{"runc", "", ""},
	} {
		var got []string
		for _, d := range dangers {
			if d.program == tt.program && d.affects(tt.version) {
				id, _, _ := strings.Cut(strings.TrimPrefix(d.what, "CVE-"), ":")
				id, _, _ = strings.Cut(id, ",")
				got = append(got, id)
			}
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.program, tt.version, diff)
		}
	}
}

// judged is what an examination found, as "status check".
func judged(e examination) (list []string) {
	for _, f := range e.list {
		if f.Status != backends.StatusOK {
			list = append(list, string(f.Status)+" "+f.Check)
		}
	}
	return list
}

func TestConfinementFindings(t *testing.T) {
	whole := system.Info{
		MemoryLimit: true, CPUCfsQuota: true, PidsLimit: true, CgroupDriver: "systemd", CgroupVersion: "2",
		SecurityOptions: []string{"name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"}, Driver: "overlay2",
	}
	for name, tt := range map[string]struct {
		change func(*system.Info)
		want   []string
		says   string
	}{
		"whole":        {func(*system.Info) {}, nil, "limits hold (cgroup v2, systemd)"},
		"no seccomp":   {func(i *system.Info) { i.SecurityOptions = nil }, []string{"fail seccomp"}, "whole kernel"},
		"no limits":    {func(i *system.Info) { i.CgroupDriver = "none" }, []string{"warn cgroups"}, "memory, processes, processors"},
		"no pids":      {func(i *system.Info) { i.PidsLimit = false }, []string{"warn cgroups"}, "cannot limit processes:"},
		"rootless":     {func(i *system.Info) { i.SecurityOptions = append(i.SecurityOptions, "name=rootless") }, nil, "rootless"},
		"userns":       {func(i *system.Info) { i.SecurityOptions = append(i.SecurityOptions, "name=userns") }, nil, "userns-remap"},
		"open":         {func(i *system.Info) { i.Warnings = []string{"WARNING: API is accessible on http://0.0.0.0:1\x1b[2J"} }, []string{"warn engine"}, "the engine says: API is accessible"},
		"harmless":     {func(i *system.Info) { i.Warnings = []string{"WARNING: bridge-nf-call-iptables is disabled"} }, nil, "seccomp"},
		"vfs":          {func(i *system.Info) { i.Driver = "vfs" }, []string{"warn storage"}, "copies every image"},
		"devicemapper": {func(i *system.Info) { i.Driver = "devicemapper" }, []string{"warn storage"}, "gone from newer engines"},
	} {
		info := whole
		info.SecurityOptions = append([]string{}, whole.SecurityOptions...)
		tt.change(&info)
		var e examination
		e.confinement(info)
		e.storage(info, false)
		if diff := cmp.Diff(tt.want, judged(e)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		var text strings.Builder
		for _, f := range e.list {
			text.WriteString(f.Message + "\n")
		}
		if !strings.Contains(text.String(), tt.says) || strings.Contains(text.String(), "\x1b") {
			t.Errorf("%s: %q does not say %q plainly", name, text.String(), tt.says)
		}
	}
}

func TestEngineFindings(t *testing.T) {
	for name, tt := range map[string]struct {
		v    types.Version
		want []string
	}{
		"sound":   {types.Version{Version: "28.5.2", Os: "linux", Components: []types.ComponentVersion{{Name: "runc", Version: "1.3.3"}}}, nil},
		"old":     {types.Version{Version: "19.03.9", Os: "linux"}, []string{"fail engine", "warn engine"}},
		"windows": {types.Version{Version: "28.5.2", Os: "windows"}, []string{"fail engine"}},
		"desktop": {types.Version{Version: "28.3.2", Os: "linux", Platform: struct{ Name string }{"Docker Desktop 4.43.1 (198352)"}}, []string{"warn desktop"}},
	} {
		var e examination
		e.engine(tt.v)
		e.versions(tt.v, system.Info{})
		if diff := cmp.Diff(tt.want, judged(e)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
