package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/host"
	"github.com/bot-bottle/bb/engine/plan"
	"github.com/bot-bottle/bb/engine/spec"
)

// lend makes sure that an instance that was just configured has a relay to the
// ssh-agent if a credential lies there, and none otherwise. The scope's lock is
// held. One that serves what it should goes on.
func (p *planning) lend(ctx context.Context, n plan.Node, secrets spec.Secrets) error {
	path := relayFile(p.state.Dir, n.Instance)
	lent, err := lentKeys(n.Spec, secrets)
	if err != nil {
		return err
	}
	if len(lent) == 0 {
		return forgetRelay(ctx, p.state.Dir, n.Instance)
	}
	c := relayConfig{Instance: n.Instance, Backend: n.Backend, Lent: lent}
	c.About = c.digest()
	pid, h, err := relayHeld(path)
	if err != nil {
		return err
	}
	if pid != 0 && h.About == c.About && !p.renews(n.Instance) {
		return nil
	}
	if err := endRelay(ctx, path); err != nil {
		return err
	}
	if err := startRelay(ctx, p.app.g.Home, c); err != nil {
		return diag.Errorf("%s: its sidecar cannot ask your ssh-agent: %v", n.Instance, err).
			WithHint("run bb apply again; or use a key without a passphrase that only this repository accepts, a deploy key")
	}
	p.relayed(n.Instance)
	return nil
}

// digest identifies what a relay does, and by which bb and agent.
func (c relayConfig) digest() string {
	b, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append(b, "\x00"+Version+"\x00"+os.Getenv("SSH_AUTH_SOCK")...))
	return hex.EncodeToString(sum[:16])
}

// renews reports whether the relay of an instance is begun anew whatever it
// seems to do: its sidecar has none, or is another. Once is enough.
func (p *planning) renews(id spec.ID) bool {
	p.relays.Lock()
	defer p.relays.Unlock()
	if p.relays.begun[id] {
		return false
	}
	for _, c := range p.plan.Changes {
		if c.ID == id {
			return c.Action != plan.Update || slices.ContainsFunc(c.Reasons, func(r plan.Reason) bool {
				return r == plan.SSHAgentGone || strings.HasPrefix(string(r), "sidecar_") ||
					r == plan.NetworkChanged || r == plan.PipelockChanged
			})
		}
	}
	return true
}

// relayed notes that a relay was begun by this command.
func (p *planning) relayed(id spec.ID) {
	p.relays.Lock()
	defer p.relays.Unlock()
	if p.relays.begun == nil {
		p.relays.begun = map[spec.ID]bool{}
	}
	p.relays.begun[id] = true
}

// lentKeys are the keys of the ssh-agent that a spec's remotes log in with, each
// with the logins that it is for.
func lentKeys(s *spec.Spec, secrets spec.Secrets) ([]host.Lent, error) {
	logins := map[string][]host.Login{}
	for _, r := range s.Live.Remotes {
		value := secrets.Tokens[r.Slot]
		if egress.KindOf(value) != egress.CredentialAgent {
			continue
		}
		u, err := egress.ParseUpstream(r.Upstream)
		if err != nil || u.User == "" {
			return nil, diag.Errorf("%s: git remote %s: the ssh upstream names no user", s.ID.Agent, r.Name).
				WithHint("write ssh://USER@HOST/PATH")
		}
		login := host.Login{User: u.User, HostKey: r.HostKey}
		if !slices.Contains(logins[value], login) {
			logins[value] = append(logins[value], login)
		}
	}
	var lent []host.Lent
	for value, to := range logins {
		slices.SortFunc(to, func(a, b host.Login) int {
			return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.HostKey, b.HostKey))
		})
		lent = append(lent, host.Lent{Key: value, Logins: to})
	}
	slices.SortFunc(lent, func(a, b host.Lent) int { return strings.Compare(a.Key, b.Key) })
	return lent, nil
}
