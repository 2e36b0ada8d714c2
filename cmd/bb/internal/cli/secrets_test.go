package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/host"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
	"github.com/bot-bottle/bb/engine/state"
)

// What a plan notes of a remote's key is what an apply stops at.
func TestKeysOfRemotesInPlanAndApply(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	dir := t.TempDir()
	st, err := state.Open(filepath.Join(dir, "home"))
	if err != nil {
		t.Fatal(err)
	}
	good, locked, open := filepath.Join(dir, "good"), filepath.Join(dir, "locked"), filepath.Join(dir, "open")
	shell(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", good)
	shell(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", locked)
	shell(t, nil, "cp", good, open)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		good: "",
		locked: "dev: key " + locked + ": the key is encrypted and no ssh-agent has it: SSH_AUTH_SOCK is not set" +
			" (run 'ssh-add " + locked + "', or use a key without a passphrase that only this repository accepts, a deploy key)",
		open:          "dev: key " + open + ": its mode is 0644: others than its owner have access to it, and ssh refuses it too (chmod 600 " + open + ")",
		good + ".pub": "dev: key " + good + ".pub: it is the public key (drop .pub: " + good + ")",
		dir + "/none": "dev: key " + dir + "/none: no such file or directory (make one with 'ssh-keygen -t ed25519 -f " + dir + "/none')",
	} {
		s := &spec.Spec{ID: spec.ID{Scope: "0123456789abcdef", Agent: "dev", Replica: "1"}}
		s.Live.Tokens = map[string]string{egress.SlotGit + "0": "key:" + path}
		p := &planning{
			compiled: &compiled{state: st},
			plan:     &plan.Plan{Changes: []plan.Change{{ID: s.ID, Action: plan.Create, Spec: s}}},
			values:   host.Values{},
		}
		text := ""
		if notes := p.unresolved(); len(notes) > 0 {
			text = notes[0].Error()
		}
		noted := ""
		if want != "" {
			noted = "warning: " + strings.Replace(want, " (", ": apply will stop here (", 1)
		}
		if text != noted {
			t.Errorf("plan notes %q, want %q", text, noted)
		}
		secrets, err := p.allSecrets(p.runCommands(t.Context()))
		if err == nil != (want == "") || err != nil && err.Error() != want {
			t.Errorf("apply: %v, want %q", err, want)
		}
		if want != "" {
			continue
		}
		key, err := os.ReadFile(path)
		got := secrets[s.ID]
		if err != nil || got.Tokens[egress.SlotGit+"0"] != string(key) || len(got.Digests[egress.SlotGit+"0"]) != 32 {
			t.Errorf("not the key as it is, with its digest: %v", err)
		}
	}
}
