package e2e_test

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// docker runs the engine's own command line: what it says is independent of
// the client that bb uses.
func docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := command("docker", args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// resources lists everything on the engine whose name contains text: it is
// how a test finds what belongs to its agents, whose names are unique.
func resources(t testing.TB, text string) []string {
	t.Helper()
	var found []string
	for kind, list := range map[string][]string{
		"container": {"ps", "-a", "--format", "{{.Names}}"},
		"volume":    {"volume", "ls", "--format", "{{.Name}}"},
		"network":   {"network", "ls", "--format", "{{.Name}}"},
	} {
		for name := range strings.Lines(docker(t, list...)) {
			if name = strings.TrimSpace(name); strings.Contains(name, text) {
				found = append(found, kind+" "+name)
			}
		}
	}
	return found
}

// containerOf is the full name of an agent's container, or of its sidecar's.
func containerOf(t testing.TB, agent string, sidecar bool) string {
	t.Helper()
	for name := range strings.Lines(docker(t, "ps", "-a", "--format", "{{.Names}}")) {
		name = strings.TrimSpace(name)
		if strings.HasPrefix(name, "bb-"+agent+"-") && strings.HasSuffix(name, "_s") == sidecar {
			return name
		}
	}
	t.Fatalf("no container of agent %s (sidecar: %v)", agent, sidecar)
	return ""
}

func containerID(t testing.TB, name string) string {
	t.Helper()
	return docker(t, "inspect", "--format", "{{.Id}}", name)
}

// network makes a network that is gone after the test, and returns its subnet
// and the address of its gateway on the host.
func network(t testing.TB, name string) (subnet, gateway string) {
	t.Helper()
	docker(t, "network", "create", name)
	t.Cleanup(func() {
		if _, err := command("docker", "network", "rm", name); err != nil {
			t.Error(err)
		}
	})
	both := docker(t, "network", "inspect", "--format",
		"{{(index .IPAM.Config 0).Subnet}} {{(index .IPAM.Config 0).Gateway}}", name)
	subnet, gateway, _ = strings.Cut(both, " ")
	return subnet, gateway
}

// container starts one that is gone after the test.
func container(t testing.TB, name string, args ...string) {
	t.Helper()
	t.Cleanup(func() { command("docker", "rm", "-f", "-v", name) }) //nolint:errcheck // gone already
	docker(t, append([]string{"run", "-d", "--name", name}, args...)...)
}

// eventually waits until ok, and fails the test with what if it never is.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("after 30 s still not: %s", what)
}

// shared are volumes and images that bottles of one bb share, and that bb
// keeps for the next one: nobody will use them again after these tests.
var shared sync.Map

func rememberShared(t testing.TB, id string) {
	t.Helper()
	for _, r := range resources(t, id) {
		name, ok := strings.CutPrefix(r, "container ")
		if !ok {
			continue
		}
		uses := docker(t, "inspect", "--format", "{{.Config.Image}} {{range .Mounts}}{{.Name}} {{end}}", name)
		for _, use := range strings.Fields(uses) {
			if strings.HasPrefix(use, "bb-bin-") || strings.HasPrefix(use, "bb-sidecar:") {
				shared.Store(use, true)
			}
		}
	}
}

// removeShared leaves what another run of these tests uses at this moment:
// the engine refuses to remove that.
func removeShared() {
	shared.Range(func(key, _ any) bool {
		name := key.(string)
		if strings.HasPrefix(name, "bb-bin-") {
			command("docker", "volume", "rm", name, name+"_full") //nolint:errcheck // see above
		} else {
			command("docker", "rmi", name) //nolint:errcheck // see above
		}
		return true
	})
}
