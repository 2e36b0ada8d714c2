package fakesmol

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// record is what is stored of a machine.
type record struct {
	Name      string
	State     string // created, running, stopped, failed
	CPUs      int
	Memory    int
	Storage   *int
	Overlay   *int
	Image     *string
	Source    string // where the image is on this machine; "" is a bare machine
	CreatedAt int64
	Labels    map[string]string
	Network   bool
	Device    bool // the network is a device in the machine
	Sockets   []mount
	Volumes   []mount
	Env       []string
	Workdir   string
	Command   []string
	Booted    bool // its image is there
	Config    imageConfig
}

type mount struct {
	Host, Guest string
	ReadOnly    bool
}

// imageConfig is what an image says about its workload.
type imageConfig struct {
	Env        []string
	Entrypoint []string
	Cmd        []string
	WorkingDir string
	User       string
}

// state is smolvm's data directory.
type state struct{ dir string }

func openState() (*state, error) {
	dir := os.Getenv("SMOLVM_DATA_DIR")
	if !filepath.IsAbs(dir) {
		// The real one would use the home directory. A fake has no place there.
		return nil, fail("config operation failed: data dir: the fake smolvm needs an absolute SMOLVM_DATA_DIR")
	}
	s := &state{dir}
	return s, os.MkdirAll(s.path("machines"), 0o700)
}

func (s *state) path(names ...string) string {
	return filepath.Join(append([]string{s.dir, "fakesmol"}, names...)...)
}

// home is a machine's own directory.
func (s *state) home(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(s.dir, ".cache", "smolvm", "vms", hex.EncodeToString(sum[:8]))
}

func (s *state) socket(name string) string { return filepath.Join(s.home(name), "agent.sock") }

// locked runs do while no other process reads or writes records.
func (s *state) locked(do func() error) error {
	f, err := os.OpenFile(s.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	return do()
}

// load returns nil when there is no such machine.
func (s *state) load(name string) (*record, error) {
	b, err := os.ReadFile(s.path("machines", name+".json"))
	if errors.Is(err, fs.ErrNotExist) || name == "" || strings.Contains(name, "/") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &record{}
	return r, json.Unmarshal(b, r)
}

// known is load for commands that need the machine.
func (s *state) known(p *parsed) (*record, error) {
	name := p.one("name")
	if !p.has("name") {
		name = "default"
	}
	r, err := s.load(name)
	if err == nil && r == nil {
		err = notFound(name)
	}
	return r, err
}

func (s *state) store(r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	to := s.path("machines", r.Name+".json")
	if err := os.WriteFile(to+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// set changes one machine's record in one go; one that is gone stays gone.
func (s *state) set(name string, change func(*record)) error {
	return s.locked(func() error {
		r, err := s.load(name)
		if err != nil || r == nil {
			return err
		}
		change(r)
		return s.store(r)
	})
}

func (s *state) all() ([]*record, error) {
	files, err := filepath.Glob(s.path("machines", "*.json"))
	var all []*record
	for _, f := range files {
		r, loadErr := s.load(strings.TrimSuffix(filepath.Base(f), ".json"))
		if err = errors.Join(err, loadErr); r != nil {
			all = append(all, r)
		}
	}
	return all, err
}

// process returns the pid of a machine's process, or 0 when it is dead. The
// start time tells it from another process of that number.
func (s *state) process(name string) int {
	b, _ := os.ReadFile(filepath.Join(s.home(name), "agent.pid"))
	pidText, started, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	pid, err := strconv.Atoi(pidText)
	if err != nil || started == "" || startTime(pid) != started {
		return 0
	}
	return pid
}

// startTime is field 22 of /proc/PID/stat, "" for one that is gone or a zombie.
func startTime(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}

// now resolves what state a machine is in.
func (s *state) now(r *record) (string, int) {
	pid := s.process(r.Name)
	switch {
	case r.State != "running":
		return r.State, 0
	case pid == 0:
		return "stopped", 0
	case !s.answers(r.Name):
		return "unreachable", pid
	}
	return "running", pid
}
