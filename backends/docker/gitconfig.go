package docker

import (
	"context"
	"slices"

	"github.com/bot-bottle/bb/backends/guest"
	"github.com/bot-bottle/bb/engine/spec"
)

// provisionGit sets git's configuration of the named parts, as the agent's user
// and in its home: the file that git in the bottle reads. A key that bb set and
// that is not declared any more is unset; others are the agent's.
func (d *Driver) provisionGit(ctx context.Context, s *spec.Spec, agent string, parts []string) error {
	parts = slices.DeleteFunc(slices.Clone(guest.GitParts), func(p string) bool { return !slices.Contains(parts, p) })
	if len(parts) == 0 {
		return nil
	}
	all, err := d.placedIn(ctx, s.ID, agent)
	if err != nil {
		return err
	}
	env := []string{"HOME=" + spec.Home, "USER=" + spec.User}
	git := guest.Git{
		Run: func(what string, tolerated int, argv ...string) error {
			return d.inAgent(ctx, s, agent, what, command{argv: argv, env: env}, tolerated)
		},
		Keep: func(all map[string]guest.Placed) error { return d.keepRecord(ctx, s, agent, all) },
	}
	return git.Set(ctx, s, parts, all)
}
