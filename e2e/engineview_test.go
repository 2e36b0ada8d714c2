package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// engineView looks at an engine over its API, past bb and past any proxy. It
// is quicker than the engine's command line, which matters after every step.
type engineView struct {
	t      testing.TB
	client *http.Client
}

func viewEngine(t testing.TB, host string) *engineView {
	path := strings.TrimPrefix(host, "unix://")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &engineView{t: t, client: &http.Client{Transport: transport}}
}

// get reads one answer; v nil means that the bytes are wanted.
func (e *engineView) get(path string, v any) []byte {
	e.t.Helper()
	answer, err := e.client.Get("http://engine" + path)
	if err != nil {
		e.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		e.t.Fatalf("the engine says to %s: %s %v\n%s", path, answer.Status, err, body)
	}
	if v != nil {
		if err := json.Unmarshal(body, v); err != nil {
			e.t.Fatalf("%s: %v", path, err)
		}
	}
	return body
}

// seenContainer is one line of the engine's list.
type seenContainer struct {
	ID     string `json:"Id"`
	Names  []string
	State  string
	Labels map[string]string
}

func (c seenContainer) name() string { return strings.TrimPrefix(c.Names[0], "/") }

// containers lists those whose name contains text.
func (e *engineView) containers(text string) []seenContainer {
	e.t.Helper()
	var all []seenContainer
	e.get("/containers/json?all=1", &all)
	return slices.DeleteFunc(all, func(c seenContainer) bool {
		return len(c.Names) == 0 || !strings.Contains(c.name(), text)
	})
}

// ungated lists agents that run without a gate that enforces their policy:
// there must be none at any moment of any apply.
func (e *engineView) ungated(text string) (wrong []string) {
	e.t.Helper()
	all := e.containers(text)
	for _, agent := range all {
		if agent.Labels["bb.role"] != "agent" || agent.State != "running" {
			continue
		}
		at := slices.IndexFunc(all, func(c seenContainer) bool { return c.name() == agent.name()+"_s" })
		switch {
		case at < 0:
			wrong = append(wrong, agent.name()+" runs without a sidecar")
		case all[at].State != "running":
			wrong = append(wrong, agent.name()+" runs, and its sidecar is "+all[at].State)
		default:
			if state := e.lastState(all[at].ID); state != "configured" {
				wrong = append(wrong, fmt.Sprintf("%s runs, and its sidecar is %q", agent.name(), state))
			}
		}
	}
	return wrong
}

// lastState is the word of a sidecar's last state line.
func (e *engineView) lastState(id string) (state string) {
	e.t.Helper()
	for rest := e.get("/containers/"+id+"/logs?stdout=1&tail=8", nil); len(rest) > 8; {
		size := int(rest[4])<<24 | int(rest[5])<<16 | int(rest[6])<<8 | int(rest[7])
		frame := rest[8:min(8+size, len(rest))]
		var line struct {
			Version int `json:"bb"`
			State   string
		}
		if json.Unmarshal(bytes.TrimSpace(frame), &line) == nil && line.Version == 1 {
			state = line.State
		}
		rest = rest[8+len(frame):]
	}
	return state
}

// leftovers lists all that has text in its name, as resources does.
func (e *engineView) leftovers(text string) (left []string) {
	e.t.Helper()
	for _, c := range e.containers(text) {
		left = append(left, "container "+c.name())
	}
	var volumes struct{ Volumes []struct{ Name string } }
	e.get("/volumes", &volumes)
	for _, v := range volumes.Volumes {
		if strings.Contains(v.Name, text) {
			left = append(left, "volume "+v.Name)
		}
	}
	var networks []struct{ Name string }
	e.get("/networks", &networks)
	for _, n := range networks {
		if strings.Contains(n.Name, text) {
			left = append(left, "network "+n.Name)
		}
	}
	return left
}

// bystanders are resources that are not bb's, of names that are nearly bb's.
type bystanders struct {
	view   *engineView
	before map[string]string // path of the API -> what it said
}

// newBystanders plants them beside an agent whose bottle has the name own.
func newBystanders(t testing.TB, view *engineView, agent, own string) *bystanders {
	t.Helper()
	b := &bystanders{view: view, before: map[string]string{}}
	scope := own[strings.LastIndex(own, "-"):]
	for _, suffix := range []string{"-000000", "-000000_s", "_2" + scope, scope + "_x"} {
		name := "bb-" + agent + suffix
		container(t, name, probeImage, "sleep")
		b.before["/containers/"+name+"/json"] = ""
	}
	for _, suffix := range []string{"-000000_door", "-000000_ca"} {
		name := "bb-" + agent + suffix
		docker(t, "volume", "create", name)
		t.Cleanup(func() { command("docker", "volume", "rm", name) }) //nolint:errcheck // only to clean up
		b.before["/volumes/"+name] = ""
	}
	for path := range b.before {
		b.before[path] = b.look(path)
	}
	return b
}

func (b *bystanders) look(path string) string {
	b.view.t.Helper()
	var it struct {
		ID    string `json:"Id"`
		State struct {
			Pid       int
			StartedAt string
		}
		Name, CreatedAt string
	}
	b.view.get(path, &it)
	return fmt.Sprint(it)
}

// without drops what was planted from a list of leftovers.
func (b *bystanders) without(left []string) []string {
	return slices.DeleteFunc(left, func(resource string) bool {
		_, name, _ := strings.Cut(resource, " ")
		return b.before["/containers/"+name+"/json"] != "" || b.before["/volumes/"+name] != ""
	})
}

// touched lists those that are not what they were.
func (b *bystanders) touched() (changed []string) {
	for path, was := range b.before {
		if now := b.look(path); now != was {
			changed = append(changed, fmt.Sprintf("%s was %s, is %s", path, was, now))
		}
	}
	return changed
}

// heldLocks lists the locks of a home that somebody still holds.
func heldLocks(t testing.TB, home string) (held []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(home, "state", "lock-*"))
	if err != nil || len(files) == 0 {
		t.Errorf("no locks below %s: %v", home, err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			held = append(held, file)
		}
		f.Close() //nolint:errcheck // it was only looked at
	}
	return held
}
