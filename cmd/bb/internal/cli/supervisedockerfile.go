package cli

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// proposalID is the form of a proposal's id, which a path is made of.
var proposalID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// keepDockerfile writes what an agent wrote where a person can read it. bb never
// builds it by itself.
func (a *app) keepDockerfile(p *planning, x egress.Proposal, image *approval.Images) error {
	switch n := len(x.Dockerfile); {
	case !proposalID.MatchString(x.ID):
		return diag.Errorf("%q is no proposal of a sidecar's", x.ID)
	case n > egress.MaxProposalText:
		return diag.Errorf("the Dockerfile is %d bytes, at most %d", n, egress.MaxProposalText)
	}
	dir := filepath.Join(p.state.Dir, "approvals", "Dockerfile-"+x.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, "Dockerfile")
	if err := os.WriteFile(path, []byte(x.Dockerfile), 0o600); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(x.Dockerfile))
	image.After, image.SHA256 = path, hex.EncodeToString(sum[:])
	fmt.Fprintf(a.stdout, "Written, not built. Read it, then put into the bottle's manifest:\nagent_provider: {dockerfile: %q}\n", path)
	return nil
}

// imageText says what image an agent has, for people.
func imageText(i spec.Image) string { return cmp.Or(i.Ref, i.Dockerfile, i.Name) }
