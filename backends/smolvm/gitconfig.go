package smolvm

import (
	"context"
	"slices"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/spec"
)

// provisionGit sets git's configuration of the named parts, as the agent's user
// and in its home: the file that git in the bottle reads. A key that bb set and
// that is not declared any more is unset; others are the agent's.
func (d *Driver) provisionGit(ctx context.Context, s *spec.Spec, parts []string) error {
	parts = slices.DeleteFunc(slices.Clone(guest.GitParts), func(p string) bool { return !slices.Contains(parts, p) })
	if len(parts) == 0 {
		return nil
	}
	all, err := d.placedIn(ctx, s.ID)
	if err != nil {
		return err
	}
	git := guest.Git{
		Run: func(what string, tolerated int, argv ...string) error {
			return d.inAgent(ctx, s, what, command{argv: argv}, tolerated)
		},
		Keep: func(all map[string]guest.Placed) error { return d.keepRecord(ctx, s, all) },
	}
	return git.Set(ctx, s, parts, all)
}
