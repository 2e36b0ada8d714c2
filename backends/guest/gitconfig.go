package guest

import (
	"context"
	"maps"
	"slices"

	"github.com/bot-bottle/bb/engine/spec"
)

// Git changes git's settings in a bottle.
type Git struct {
	// Run runs a program as the agent's user. Its error says what it was for, and
	// what the program said; an exit code that is tolerated is none.
	Run func(what string, tolerated int, argv ...string) error
	// Keep writes the record of what is placed.
	Keep func(all map[string]Placed) error
}

// Set makes the keys of parts what they should be; all is what is placed.
func (g Git) Set(ctx context.Context, s *spec.Spec, parts []string, all map[string]Placed) (err error) {
	for _, part := range parts {
		if all, err = g.set(ctx, s, part, all); err != nil {
			return err
		}
	}
	return nil
}

// set makes one part's keys what they should be, and returns what is placed
// then. A key is on record before it is set: whoever comes after a crash knows
// what to unset.
func (g Git) set(ctx context.Context, s *spec.Spec, part string, all map[string]Placed) (map[string]Placed, error) {
	wanted := settings(s, part)
	had, keys := all[part].Keys, keysOf(wanted)
	keep := func(keys []string) error {
		if slices.Equal(all[part].Keys, keys) {
			return nil
		}
		if all = maps.Clone(all); len(keys) == 0 {
			delete(all, part)
		} else {
			all[part] = Placed{Keys: keys}
		}
		return g.Keep(all)
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
			if err := g.config(ctx, key, none, "--unset-all", key); err != nil {
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
			if err := g.config(ctx, x.Key, 0, args...); err != nil {
				return nil, err
			}
		}
	}
	err := keep(keys)
	return all, err
}

// config runs one git config.
func (g Git) config(ctx context.Context, key string, tolerated int, args ...string) error {
	return pastLock(ctx, func() error {
		return g.Run("set git "+key, tolerated, append([]string{"git", "config", "--global"}, args...)...)
	}, func() error { return g.Run("unlock git", 0, "rm", "-f", "--", gitLock) })
}
