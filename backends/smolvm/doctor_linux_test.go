package smolvm

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/hack/fakesmol"
)

func TestVirtualisation(t *testing.T) {
	// Where another user can look: temporary directories of tests are shut.
	dir, err := os.MkdirTemp("", "bb-kvm-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	there, shut := filepath.Join(dir, "kvm"), filepath.Join(dir, "shut")
	for path, mode := range map[string]os.FileMode{dir: 0o755, there: 0o666, shut: 0o600} {
		if path != dir {
			err = os.WriteFile(path, nil, 0o600)
		}
		if err := errors.Join(err, os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	const root, user = 0, 1000
	for _, tt := range []struct {
		path   string
		uid    int
		status backends.Status
		says   string
	}{
		{there, root, backends.StatusOK, "can be opened"},
		{there, user, backends.StatusOK, "can be opened"},
		{shut, root, backends.StatusOK, "can be opened"},
		{shut, user, backends.StatusFail, "not writable for you"},
		{filepath.Join(dir, "none"), user, backends.StatusFail, "is missing"},
		{dir, user, backends.StatusFail, "directory"},
	} {
		f := asUser(t, tt.uid, func() backends.Finding { return virtualisation(tt.path) })
		if f.Status != tt.status || !strings.Contains(f.Message, tt.says) || f.Status != backends.StatusOK && f.Hint == "" {
			t.Errorf("%s as %d: %+v", tt.path, tt.uid, f)
		}
	}
}

// asUser runs f on a thread that is that user for good, and ends.
func asUser(t *testing.T, uid int, f func() backends.Finding) backends.Finding {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("to be another user takes root: run this test as root")
		}
		skipped(t, "to be another user takes root")
	}
	type end struct {
		f   backends.Finding
		err error
	}
	ended := make(chan end)
	go func() {
		runtime.LockOSThread()
		// Past package syscall, which would change all threads.
		var err error
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			err = errno
		}
		ended <- end{f(), err}
	}()
	e := <-ended
	if e.err != nil {
		t.Fatal(e.err)
	}
	return e.f
}

// A machine whose inside never answers, and one whose start failed, are what is
// seen where virtualisation is there and nothing boots.
func TestDoctorWhereNothingBoots(t *testing.T) {
	w, s := newWorld(t), newSpec(t)
	w.upTo(t, s)
	boot := func() (found backends.Finding) {
		t.Helper()
		for _, f := range w.Doctor(t.Context()) {
			if f.Check == "boot" {
				found = f
			}
		}
		return found
	}
	unknown := boot()
	if unknown.Status == backends.StatusOK || strings.Contains(unknown.Message, s.ID.Name()) {
		t.Errorf("one that was never started: %+v", unknown)
	}
	judge := func(state string) {
		t.Helper()
		if f := boot(); f.Status == backends.StatusOK || !strings.Contains(f.Message, s.ID.Name()+" is "+state) || f.Hint == "" || f.Message == unknown.Message {
			t.Errorf("one that is %s: %+v", state, f)
		}
	}
	w.fake.Fault("start", fakesmol.FaultUnreachable, 1)
	w.smolvm(t, "machine", "start", "--name", s.ID.Name())
	judge("unreachable")
	w.fake.Kill(s.ID.Name())
	w.record(t, s.ID, func(r map[string]any) { r["State"] = "failed" })
	judge("failed")
	// One that runs shows that machines boot here, whatever became of others.
	if err := w.StartAgent(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if f := boot(); f.Status != backends.StatusOK {
		t.Errorf("one that runs: %+v", f)
	}
}

func TestDoctorOfRoot(t *testing.T) {
	if f := ofRoot(0, "/d"); len(f) != 1 || f[0].Status != backends.StatusWarn || f[0].Hint == "" {
		t.Errorf("as root: %+v", f)
	}
	if f := ofRoot(1000, "/d"); f != nil {
		t.Errorf("as a user: %+v", f)
	}
}

func TestDoctor(t *testing.T) {
	d, err := New(Options{Dir: t.TempDir(), Sidecars: newSidecars(t), Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	if f := d.Doctor(t.Context())[0]; f.Check != "smolvm" || f.Status != backends.StatusFail || !strings.Contains(f.Message, "not installed") || f.Hint == "" {
		t.Errorf("without smolvm: %+v", f)
	}
	w := newWorld(t)
	byCheck := func() map[string]backends.Finding {
		m := map[string]backends.Finding{}
		for _, f := range w.Doctor(t.Context()) {
			m[f.Check] = f
		}
		return m
	}
	if f := byCheck(); f["smolvm"].Status != backends.StatusOK || f["boot"].Status != backends.StatusWarn {
		t.Errorf("without machines: %+v", f)
	}
	one := newSpec(t)
	w.up(t, one)
	if f := byCheck(); f["boot"].Status != backends.StatusOK || f["sidecars"].Message != "1 sidecar of this bb, all running" {
		t.Errorf("with one: %+v", f)
	}

	// A sidecar that ended while its machine runs, one of another bb, one that
	// was stopped, and one that is nobody's.
	w.sidecars.mu.Lock()
	w.sidecars.stop(one.ID)
	w.sidecars.image = "another"
	w.sidecars.mu.Unlock()
	if err := w.sidecars.Ensure(t.Context(), newSpecOf(t, "other")); err != nil {
		t.Fatal(err)
	}
	stopped := newSpecOf(t, "stopped")
	if err := w.sidecars.Ensure(t.Context(), stopped); err != nil {
		t.Fatal(err)
	}
	if err := w.sidecars.Stop(t.Context(), stopped.ID); err != nil {
		t.Fatal(err)
	}
	w.sidecars.image, w.sidecars.orphans = "", []backends.Orphan{{Kind: "sidecar"}}
	w.sidecars.made[one.ID], w.sidecars.made[stopped.ID] = w.sidecars.Image(), w.sidecars.Image()
	var got []string
	for _, f := range w.Doctor(t.Context()) {
		if f.Check == "sidecars" {
			got = append(got, string(f.Status)+" "+f.Message)
		}
	}
	want := []string{
		"warn no sidecar runs, and so nothing leads out of: dev", "warn the sidecar is of another bb: other",
		"warn of no bottle: 1 directory", "ok stopped, as its bottle: stopped",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func newSpecOf(t *testing.T, agent string) *spec.Spec {
	t.Helper()
	s := newSpec(t)
	s.ID.Agent = agent
	return s
}
