package docker

import (
	"context"
	"maps"
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
	for _, part := range parts {
		if all, err = d.setGit(ctx, s, agent, part, all); err != nil {
			return err
		}
	}
	return nil
}

// setGit makes one part's keys what they should be, and returns what is placed
// then. A key is on record before it is set: whoever comes after a crash knows
// what to unset.
func (d *Driver) setGit(ctx context.Context, s *spec.Spec, agent, part string, all map[string]guest.Placed) (map[string]guest.Placed, error) {
	wanted := guest.Settings(s, part)
	had, keys := all[part].Keys, guest.KeysOf(wanted)
	keep := func(keys []string) error {
		if slices.Equal(all[part].Keys, keys) {
			return nil
		}
		if all = maps.Clone(all); len(keys) == 0 {
			delete(all, part)
		} else {
			all[part] = guest.Placed{Keys: keys}
		}
		return d.keepRecord(ctx, s, agent, all)
	}
	both := slices.Clone(had)
	for _, key := range keys {
		if !slices.Contains(both, key) {
			both = append(both, key)
		}
	}
	if err := keep(both); err != nil {
		return nil, err
	}
	for _, key := range had {
		if !slices.Contains(keys, key) {
			const none = 5 // it was not there
			if err := d.git(ctx, s, agent, key, none, "--unset-all", key); err != nil {
				return nil, err
			}
		}
	}
	for _, x := range wanted {
		for i, value := range x.Values {
			args := []string{"--add", x.Key, value}
			switch {
			case part == spec.PartIdentity:
				args = args[1:]
			case i == 0: // whatever it was: an upstream changes, and bb may be killed here
				args[0] = "--replace-all"
			}
			if err := d.git(ctx, s, agent, x.Key, 0, args...); err != nil {
				return nil, err
			}
		}
	}
	err := keep(keys)
	return all, err
}

// git runs one git config.
func (d *Driver) git(ctx context.Context, s *spec.Spec, agent, key string, tolerated int, args ...string) error {
	env := []string{"HOME=" + spec.Home, "USER=" + spec.User}
	return guest.PastLock(ctx, func() error {
		c := command{argv: append([]string{"git", "config", "--global"}, args...), env: env}
		return d.inAgent(ctx, s, agent, "set git "+key, c, tolerated)
	}, func() error {
		return d.inAgent(ctx, s, agent, "unlock git", command{argv: []string{"rm", "-f", "--", guest.GitLock}, env: env}, 0)
	})
}
