package smolvm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bot-bottle/bb/backends"
	"github.com/bot-bottle/bb/backends/smolvm/cli"
	"github.com/bot-bottle/bb/engine/spec"
)

// gates judges the sidecars of this owner: what is a process of this machine
// can end, and stay of another bb, unseen.
func (d *Driver) gates(ctx context.Context, machines []cli.Machine) []backends.Finding {
	const check = "sidecars"
	all, err := d.opts.Sidecars.List(ctx)
	if err != nil {
		return []backends.Finding{failure(check, err)}
	}
	orphans, err := d.opts.Sidecars.Orphans(ctx)
	if err != nil {
		return []backends.Finding{failure(check, err)}
	}
	mute := map[spec.ID]bool{} // machines that run, and of which no sidecar is known yet
	for _, m := range machines {
		if id, role, ok := spec.ParseIdentity(d.opts.Owner, m.Name, m.Labels); ok && role == spec.RoleAgent && m.State == cli.Running {
			mute[id] = true
		}
	}
	running, stopped, old := 0, map[spec.ID]bool{}, map[spec.ID]bool{}
	current := d.opts.Sidecars.Image()
	for _, x := range all {
		if x.Part == nil {
			continue
		}
		if current != "" && x.Part.Image != current {
			old[x.ID] = true
		}
		switch {
		case x.Part.Running:
			running++
			delete(mute, x.ID)
		case !mute[x.ID]:
			stopped[x.ID] = true
		}
	}
	var list []backends.Finding
	add := func(status backends.Status, hint, format string, args ...any) {
		list = append(list, backends.Finding{Check: check, Status: status, Hint: hint, Message: fmt.Sprintf(format, args...)})
	}
	if len(mute) > 0 {
		add(backends.StatusWarn, "'bb apply' starts it, 'bb logs --sidecar AGENT' may say why it ended", "no sidecar runs, and so nothing leads out of: %s", names(mute))
	}
	if len(old) > 0 {
		add(backends.StatusWarn, "'bb apply' replaces it and leaves the agent alone", "the sidecar is of another bb: %s", names(old))
	}
	if len(orphans) > 0 {
		add(backends.StatusWarn, "'bb cleanup' shows and removes it", "of no bottle: %s", count(len(orphans), "directory", "directories"))
	}
	if len(stopped) > 0 {
		add(backends.StatusOK, "", "stopped, as its bottle: %s", names(stopped))
	}
	if len(list) == 0 && running > 0 {
		add(backends.StatusOK, "", "%s of this bb, all running", count(running, "sidecar", "sidecars"))
	}
	return list
}

func names(ids map[spec.ID]bool) string {
	var all []string
	for id := range maps.Keys(ids) {
		all = append(all, id.String())
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
