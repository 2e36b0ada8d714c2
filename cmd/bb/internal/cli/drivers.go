package cli

import (
	"cmp"
	"debug/elf"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/docker"
	"github.com/bot-bottle/bb/backends/fake"
	"github.com/bot-bottle/bb/backends/smolvm"
	"github.com/bot-bottle/bb/backends/smolvm/hostside"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/host"
	"github.com/bot-bottle/bb/engine/state"
)

func (a *app) driver(name string, st *state.State) (backends.Driver, error) {
	switch name {
	case "docker":
		return a.docker(st)
	case "smolvm":
		return a.smolvm(st)
	case "fake":
		path := os.Getenv("BB_FAKE_WORLD")
		if path == "" {
			path = filepath.Join(st.Dir, "fake.json")
		}
		return fake.New(fake.Options{Path: path, Owner: st.Owner, Key: st.Key, Version: Version}), nil
	}
	return nil, diag.Errorf("unknown backend %q", name).WithHint("this bb knows docker and smolvm")
}

// docker is the one driver of its engine: bottles of all backends share its builds.
func (a *app) docker(st *state.State) (*docker.Driver, error) {
	if a.engine != nil {
		return a.engine, nil
	}
	ca, err := buildCA(a.g.BuildCA)
	if err != nil {
		return nil, err
	}
	named, err := host.Expand(os.Getenv("BB_PIPELOCK"))
	if err != nil {
		return nil, err
	}
	o := docker.Options{
		Owner: st.Owner, Key: st.Key, Version: Version, Binary: a.sidecarBinary(),
		Pipelock:  named,
		BaseImage: a.g.BaseImage, BuildCA: ca, Private: st.Dir, Log: a.screen,
	}
	if a.g.Verbose {
		o.Output = a.screen
	}
	if a.engine, err = docker.New(o); err != nil {
		return nil, err
	}
	return a.engine, nil
}

// smolvm has an engine build and pull images where one answers: without one,
// images are what agent_provider.image names.
func (a *app) smolvm(st *state.State) (backends.Driver, error) {
	pipelock, err := hostPipelock()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	sidecars, err := hostside.New(hostside.Options{Dir: sidecarsDir(st), Self: self, Version: Version, Pipelock: pipelock})
	if err != nil {
		return nil, err
	}
	o := smolvm.Options{
		Dir: smolvmDir(st), Owner: st.Owner, Key: st.Key, Version: Version, Binary: a.sidecarBinary(),
		Sidecars: sidecars, Programs: sidecarsDir(st), Log: a.screen,
	}
	if engine, err := a.docker(st); err == nil {
		o.Images = engine
	}
	return smolvm.New(o)
}

func smolvmDir(st *state.State) string { return filepath.Join(st.Dir, "smolvm") }

// sidecarsDir has a short name: the paths of sockets have little room.
func sidecarsDir(st *state.State) string { return filepath.Join(smolvmDir(st), "s") }

// hostPipelock is the program that sidecars on this machine may run; "" means
// that there is none.
func hostPipelock() (string, error) {
	named := os.Getenv("BB_PIPELOCK")
	path, err := host.Program([]string{cmp.Or(named, "pipelock")})
	if err != nil && named == "" {
		return "", nil
	}
	return path, err
}

func buildCA(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, diag.Errorf("--build-ca: %v", err).WithHint("name a PEM file, or unset BB_BUILD_CA")
	}
	return b, nil
}

// sidecarBinary is the flag's, else bb itself where it can run in a bottle,
// else the linux binary that a release carries beside it; "" means none.
func (a *app) sidecarBinary() string {
	if a.g.SidecarBinary != "" {
		return a.g.SidecarBinary
	}
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	if runtime.GOOS == "linux" && static(self) {
		return self
	}
	for _, arch := range []string{runtime.GOARCH, "amd64", "arm64"} {
		beside := filepath.Join(filepath.Dir(self), "bb-linux-"+arch)
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	return ""
}

func static(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}
