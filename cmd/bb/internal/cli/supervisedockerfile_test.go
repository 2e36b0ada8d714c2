package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/state"
)

// What a sidecar says names no other file, and has a bound here too; a path with
// what YAML would read as its own is quoted.
func TestKeepDockerfile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a: b # "c"`)
	var out bytes.Buffer
	a, p := &app{stdout: &out}, &planning{compiled: &compiled{state: &state.State{Dir: dir}}}
	for name, x := range map[string]egress.Proposal{
		"another path": {ID: "../../../../x", Dockerfile: "FROM x"},
		"no id":        {Dockerfile: "FROM x"},
		"too long":     {ID: "00112233445566aa", Dockerfile: strings.Repeat("#", egress.MaxProposalText+1)},
	} {
		if err := a.keepDockerfile(p, x, &approval.Images{}); err == nil {
			t.Errorf("%s is written", name)
		}
	}
	if found, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(found) > 0 || out.Len() > 0 {
		t.Errorf("%v, %v, %s", found, err, &out)
	}
	text := "FROM scratch\n" + strings.Repeat("#", 1000)
	var image approval.Images
	if err := a.keepDockerfile(p, egress.Proposal{ID: "00112233445566aa", Dockerfile: text}, &image); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(image.After)
	if err != nil || string(got) != text || len(image.SHA256) != 64 {
		t.Errorf("%q, %v, %+v", got, err, image)
	}
	if !strings.Contains(out.String(), fmt.Sprintf("agent_provider: {dockerfile: %q}\n", image.After)) {
		t.Error(out.String())
	}
}
