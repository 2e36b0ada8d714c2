package compile

import (
	"fmt"
	"path/filepath"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/manifest"
)

// remotes gives every distinct credential a slot GIT_CREDENTIAL_<n> of tokens,
// counted from 0 in the order of the list, which is sorted by name.
func remotes(declared []manifest.Remote, tokens map[string]string) []egress.Remote {
	var out []egress.Remote
	slots := map[string]string{}
	for _, r := range declared {
		ref := r.TokenRef
		if r.IdentityFile != "" {
			ref = "key:" + r.IdentityFile
		}
		slot, known := slots[ref]
		if !known {
			slot = fmt.Sprint(egress.SlotGit, len(slots))
			slots[ref], tokens[slot] = slot, ref
		}
		out = append(out, egress.Remote{
			Name: r.Name, Upstream: r.Upstream, HostKey: r.KnownHostKey, Slot: slot, Push: r.Push,
			Source: fmt.Sprintf("bottle %s:%d", filepath.Base(r.From.File), r.From.Line),
		})
	}
	return out
}
