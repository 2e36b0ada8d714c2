package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk builds an image on an engine whose disk is nearly full: one
// clear line that names the disk, nothing half-made, no harm to the bottles
// that run; and with room the same apply succeeds.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	h, agents := shellHome(t)
	e := moveToOwnEngine(t, h, agents[0])
	small := smallDisk(t, e)
	h.must("apply", "-y")
	h.settled()
	view := viewEngine(t, e.host)
	before, images := idsOf(view, ""), imagesOf(t, e)

	dir := t.TempDir()
	recipe := filepath.Join(dir, "Dockerfile")
	const need = 64 // MB
	text := "FROM " + baseImage() + "\nRUN useradd --create-home --uid 1000 node && head -c 64000000 /dev/urandom > /big\nUSER node\n"
	if err := os.WriteFile(recipe, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	h.bottle("large", "agent_provider: {template: shell, dockerfile: "+recipe+"}")
	large := h.agent("large", "large", "")
	filler := filepath.Join(small, "filler")
	leave(t, small, filler, need/4)

	r := h.fails("apply", "-y")
	t.Logf("bb said:\n%s", r.stderr)
	_, message, _ := strings.Cut(r.stderr, "\nbb: ")
	message, _, _ = strings.Cut(message, "\n")
	if !strings.Contains(message, "disk of the engine") || !strings.Contains(message, "no space left on device") {
		t.Errorf("the first line of the error does not name the disk: %s", r)
	}
	if strings.Count(r.stderr, "\nbb: ") > 1 {
		t.Errorf("want one error: %s", r)
	}
	after := slices.DeleteFunc(idsOf(view, ""), func(c string) bool {
		return !failedApplyTidiesUp && strings.HasPrefix(c, "bb-"+large) && strings.Contains(c, "_s ")
	})
	if !slices.Equal(after, before) {
		t.Errorf("want the containers that were there and no other: %v, now %v", before, after)
	}
	if left := view.leftovers("bb-" + large); failedApplyTidiesUp && len(left) > 0 {
		t.Errorf("half made: %v", left)
	}
	if now := imagesOf(t, e); now != images {
		t.Errorf("half an image is left: %s, now %s", images, now)
	}
	for _, a := range agents {
		h.must("exec", a, "--", "true")
	}
	if wrong := view.ungated(h.id); len(wrong) > 0 {
		t.Error(wrong)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	h.must("apply", "-y")
	h.settled()
	h.must("exec", large, "--", "test", "-s", "/big")
	h.must("destroy", "-y")
	if left := view.leftovers(h.id); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// smallDisk moves the engine's data to a disk of its own.
func smallDisk(t *testing.T, e *engine) string {
	t.Helper()
	e.stop()
	dir, aside := filepath.Join(e.dir, "data"), filepath.Join(e.dir, "aside")
	if err := os.Rename(dir, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	// In memory: what it holds is gone with it, and no file of this machine's
	// disk has to be as large as the disk that fills.
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1g,mode=0711"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the engine's directory is removed
		e.kill()
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.Command("cp", "-a", aside+"/.", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.RemoveAll(aside); err != nil {
		t.Fatal(err)
	}
	e.start()
	return dir
}

// leave fills a disk until so many megabytes are free.
func leave(t *testing.T, disk, filler string, megabytes int64) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(disk, &s); err != nil {
		t.Fatal(err)
	}
	free := int64(s.Bavail) * s.Bsize
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, free-megabytes<<20); err != nil {
		t.Fatal(err)
	}
}

// imagesOf lists the images of an engine. The layers that a build got done
// before it failed are the engine's own cache.
func imagesOf(t *testing.T, e *engine) string {
	t.Helper()
	names, err := command("docker", "-H", e.host, "images", "--format", "{{.Repository}}:{{.Tag}}")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(names)
	slices.Sort(all)
	return strings.Join(slices.DeleteFunc(all, func(n string) bool { return n == "<none>:<none>" }), " ")
}
