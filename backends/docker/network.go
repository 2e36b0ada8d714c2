package docker

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/spec"
)

// SharedNetwork is the outer network of sidecars that name no other.
const SharedNetwork = "bb-egress"

// findNetwork returns the network of exactly this name; engines accept several
// and bb means the one with the lowest id, always. The id is "" without one.
func (d *Driver) findNetwork(ctx context.Context, name string) (network.Summary, error) {
	// The engine's filter matches parts of names.
	list, err := d.engine.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", name))})
	if err != nil {
		return network.Summary{}, d.wrap(err, "network %s", name)
	}
	return lowest(list, name), nil
}

func lowest(list []network.Summary, name string) network.Summary {
	list = slices.DeleteFunc(slices.Clone(list), func(n network.Summary) bool { return n.Name != name })
	if len(list) == 0 {
		return network.Summary{}
	}
	return slices.MinFunc(list, func(a, b network.Summary) int { return strings.Compare(a.ID, b.ID) })
}

// networkMaker is the container that claims the making of the network.
const networkMaker = SharedNetwork + "_make"

// ensureNetwork makes the shared network unless one of its name exists, be it
// another's. The caller holds the user's lock. Users of one engine share no
// lock of a file, and the engine accepts two networks of one name but then
// starts no container on either: so the making itself is claimed.
func (d *Driver) ensureNetwork(ctx context.Context) error {
	found := func() (bool, error) {
		n, err := d.findNetwork(ctx, SharedNetwork)
		return n.ID != "", err
	}
	if ok, err := found(); err != nil || ok {
		return err
	}
	maker, err := d.claim(ctx, networkMaker, spec.RoleNetwork, nil, found)
	if err != nil || maker == "" {
		return err // "": another process has made it meanwhile
	}
	ok, err := found() // as it is now that nobody else makes one
	if err == nil && !ok {
		_, err = d.engine.NetworkCreate(ctx, SharedNetwork, network.CreateOptions{
			Driver: "bridge",
			Labels: d.shared(spec.RoleNetwork),
			// Sidecars are no servers and no neighbours of each other.
			Options: map[string]string{"com.docker.network.bridge.enable_icc": "false"},
		})
	}
	removed := d.engine.ContainerRemove(context.WithoutCancel(ctx), maker, container.RemoveOptions{Force: true})
	return errors.Join(d.wrap(err, "create network %s", SharedNetwork), d.wrap(removed, "container %s", networkMaker))
}

// outerNetwork resolves the network of a sidecar to its id.
func (d *Driver) outerNetwork(ctx context.Context, name string) (string, error) {
	if name == "" {
		name = SharedNetwork
	}
	found, err := d.findNetwork(ctx, name)
	if err != nil {
		return "", err
	}
	if found.ID == "" {
		return "", diag.Errorf("network %s does not exist", name).
			WithHint("create it with 'docker network create %s', or remove egress.network", name)
	}
	if found.Name == "host" || found.Name == "none" {
		return "", diag.Errorf("network %s cannot be a sidecar's outer network", name).
			WithHint("name a network of your own in egress.network, or remove it")
	}
	return found.ID, nil
}

// networkState tells Observe who made the shared network. One that another bb
// made is as good as ours: bb makes them all alike and never alters one.
func (d *Driver) networkState(list []network.Summary) string {
	n := lowest(list, SharedNetwork)
	switch {
	case n.ID == "":
		return ""
	case isShared(n.Labels, spec.RoleNetwork):
		return "ours"
	}
	return "foreign"
}
