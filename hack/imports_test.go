// Package hack_test keeps the rules of the house that no linter sees whole.
package hack_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/bot-bottle/bb"

// listed is what `go list` says about one package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// TestImportsPointOneWay asserts the import rules on what is really linked:
// a rule that a linter checks file by file is checked here on whole packages,
// for every system that a release carries.
func TestImportsPointOneWay(t *testing.T) {
	for _, goos := range []string{"linux", "darwin"} {
		t.Run(goos, func(t *testing.T) {
			for _, p := range list(t, goos) {
				for _, imported := range p.Imports {
					if why := forbidden(p.ImportPath, imported); why != "" {
						t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
					}
				}
			}
		})
	}
}

func list(t *testing.T, goos string) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Standard,Imports", module+"/...")
	cmd.Env = append(cmd.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages: %s", len(all), out)
	}
	return all
}

// forbidden says why a package may not import another, or "".
func forbidden(importer, imported string) string {
	room := strings.TrimPrefix(importer, module+"/")
	in := func(dirs ...string) bool {
		for _, d := range dirs {
			if room == d || strings.HasPrefix(room, d+"/") {
				return true
			}
		}
		return false
	}
	ours, other := strings.CutPrefix(imported, module+"/")
	toRoom := func(dirs ...string) bool {
		for _, d := range dirs {
			if other && (ours == d || strings.HasPrefix(ours, d+"/")) {
				return true
			}
		}
		return false
	}
	third := !other && strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")

	switch {
	case (room == "egress" || room == "egress/proxy" || room == "egress/door/tree" || room == "egress/dlp/tokens") && third:
		return "the guard's core is the standard library only"
	case (room == "egress" || room == "egress/proxy") && other && ours != "egress":
		return "the guard's core imports no room that may import more" // nor what that imports
	case in("egress") && toRoom("engine", "backends", "cmd", "cue"):
		return "egress knows only itself"
	case in("engine") && toRoom("backends", "cmd"):
		return "the engine knows no driver and no command"
	case !in("hack") && toRoom("hack"):
		return "helpers of tests stay out of bb"
	case in("backends/smolvm/cli") && other && ours != "engine/diag":
		return "the client of smolvm knows no bottle"
	case room == "backends/guest" && toRoom("backends"):
		return "what bottles have in common knows no driver"
	case in("backends") && toRoom("cmd", "cue", "engine/manifest", "engine/provider"):
		return "a driver gets a spec"
	case strings.HasPrefix(imported, "cuelang.org/go") && room != "cue/schema" && room != "engine/manifest":
		return "only cue/schema and engine/manifest evaluate CUE"
	case strings.HasPrefix(imported, "github.com/docker/") && room != "backends/docker":
		return "only backends/docker speaks to the engine"
	case strings.HasPrefix(imported, "golang.org/x/crypto") && !in("egress/gitgate/upstream", "egress/gitgate/gittest", "engine/host"):
		return "keys of upstreams are handled in one room, and on the host"
	case strings.HasPrefix(imported, "github.com/zricethezav/gitleaks") && !in("egress/gitgate/leaks"):
		return "only egress/gitgate/leaks knows the detector"
	case strings.HasPrefix(imported, "github.com/modelcontextprotocol/") && room != "egress/supervise":
		return "only egress/supervise speaks with an agent's tools"
	case imported == "github.com/charmbracelet/x/ansi" && room == "cmd/bb/internal/view":
		return "" // it measures text, and draws nothing
	case strings.HasPrefix(imported, "github.com/charmbracelet/") && !strings.HasPrefix(room, "cmd/bb/internal/dash"):
		return "only the dashboard draws a screen"
	case toRoom("egress/gitgate/gittest"), toRoom("egress/supervise/supervisetest"):
		return "fixtures are of tests only" // whose imports are not listed here
	case strings.HasPrefix(imported, "github.com/alecthomas/kong") && !in("cmd"):
		return "the command line ends in cmd"
	case room == "hack/attack" && strings.HasPrefix(imported, "golang.org/x/net/http2"):
		return "" // it sends frames that no client of net/http would
	case third && in("hack"):
		return "helpers of tests and demo need nothing"
	}
	return ""
}

// TestForbiddenSeesEachRule keeps the rules above from passing because they
// match nothing.
func TestForbiddenSeesEachRule(t *testing.T) {
	for _, c := range []struct{ importer, imported string }{
		{"egress", "golang.org/x/net/http2"},
		{"egress/proxy", "github.com/miekg/dns"},
		{"egress/proxy", module + "/egress/dlp"},
		{"egress/door/tree", "golang.org/x/sys/unix"},
		{"egress/dlp/tokens", "github.com/klauspost/compress/zstd"},
		{"egress/door", module + "/engine/spec"},
		{"engine/apply", module + "/backends"},
		{"backends/docker", module + "/engine/manifest"},
		{"backends/smolvm", module + "/hack/fakesmol"},
		{"backends/smolvm/cli", module + "/engine/spec"},
		{"backends/guest", module + "/backends/docker"},
		{"engine/spec", "cuelang.org/go/cue"},
		{"backends/fake", "github.com/docker/docker/client"},
		{"engine/plan", "github.com/alecthomas/kong"},
		{"egress/gitgate", "golang.org/x/crypto/ssh"},
		{"egress/gitgate", "github.com/zricethezav/gitleaks/v8/detect"},
		{"egress/gitgate/upstream", module + "/egress/gitgate/gittest"},
		{"egress/sidecar", "github.com/modelcontextprotocol/go-sdk/mcp"},
		{"cmd/bb/internal/cli", "github.com/charmbracelet/bubbletea"},
		{"cmd/bb/internal/cli", "github.com/charmbracelet/x/ansi"},
		{"cmd/bb/internal/view", "github.com/charmbracelet/lipgloss"},
		{"hack/probe", "golang.org/x/sys/unix"},
	} {
		if forbidden(module+"/"+c.importer, c.imported) == "" {
			t.Errorf("%s may import %s", c.importer, c.imported)
		}
	}
	for _, c := range []struct{ importer, imported string }{
		{"egress/dns", "github.com/miekg/dns"},
		{"egress/proxy", module + "/egress"},
		{"backends/smolvm/cli", module + "/engine/diag"},
		{"backends/smolvm", module + "/backends/guest"},
		{"backends/docker", "github.com/docker/docker/client"},
		{"cmd/bb/internal/cli", "github.com/alecthomas/kong"},
		{"egress/gitgate/upstream", "golang.org/x/crypto/ssh/agent"},
		{"egress/gitgate/leaks", "github.com/zricethezav/gitleaks/v8/detect"},
		{"engine/manifest", "cuelang.org/go/cue"},
	} {
		if why := forbidden(module+"/"+c.importer, c.imported); why != "" {
			t.Errorf("%s may not import %s: %s", c.importer, c.imported, why)
		}
	}
}
