package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/egress"
	"github.com/bot-bottle/bb/egress/supervise"
	"github.com/bot-bottle/bb/engine/approval"
	"github.com/bot-bottle/bb/engine/diag"
)

type superviseModifyCmd struct{ superviseApproveCmd }

// Run opens what is asked for in the editor, and allows what was saved.
func (c *superviseModifyCmd) Run(ctx context.Context, a *app) error {
	x, err := a.oneAsked(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.Digest != "" && c.Digest != x.Digest {
		return moved(x.Proposal.ID, c.ID)
	}
	if x.Proposal.Route == nil {
		return diag.Errorf("only a route can be modified").WithHint("bb supervise show %s says what it is", c.ID)
	}
	route, err := a.editRoute(ctx, x)
	if err != nil {
		return err
	}
	x.Proposal.Route = route
	x.Labels = approval.Labels(x.Proposal, x.spec.Live.Routes, time.Now())
	a.showAsked(x)
	if err := a.confirm(c.Yes, "Allow this?"); err != nil {
		return err
	}
	return a.approve(ctx, x, &c.superviseApproveCmd)
}

// editRoute has a person write the route. What was saved with a mistake is kept
// for the next try, for as long as the person wants to.
func (a *app) editRoute(ctx context.Context, x asked) (*egress.Route, error) {
	dir, err := os.MkdirTemp("", "bb-supervise-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover holds nothing secret
	path := filepath.Join(dir, "route.yaml")
	if err := os.WriteFile(path, routeText(x), 0o600); err != nil {
		return nil, err
	}
	for {
		if err := a.edit(ctx, path); err != nil {
			return nil, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		route, err := readRoute(text)
		if err == nil {
			return route, nil
		}
		if errors.Is(err, io.EOF) {
			return nil, exitError{exitFailed, "nothing is left of it: nothing was done"}
		}
		a.warn(diag.List{diag.Errorf("%v", err)})
		if a.ask("Open it again?", "") != nil {
			return nil, exitError{exitFailed, "nothing was done"}
		}
	}
}

// routeText is a proposal as a person edits it. All words of the agent's are
// strings of JSON, or comments: none of them is a key, or a comment's end.
func routeText(x asked) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s asks for this route. Change it, and save. An empty file allows nothing.\n", x.Bottle)
	for _, l := range x.marks() {
		fmt.Fprintf(&b, "# ! %s\n", l)
	}
	if x.Proposal.Reason != "" {
		for _, piece := range view.Fold("it says: "+view.Quote(x.Proposal.Reason), 76) {
			fmt.Fprintf(&b, "# %s\n", piece)
		}
	}
	r := x.Proposal.Route
	methods, paths := []string{}, []string{}
	for _, m := range r.Matches { // an agent's has one
		methods, paths = append(methods, m.Methods...), append(paths, m.Paths...)
	}
	field := func(name string, value any) {
		text, err := json.Marshal(value)
		if err != nil {
			panic("supervise: " + err.Error()) // only plain data reaches this
		}
		fmt.Fprintf(&b, "%s: %s\n", name, view.EscapeJSON(string(text)))
	}
	field("host", r.Host)
	field("port", r.Port)
	field("methods", methods)
	field("paths", paths)
	return b.Bytes()
}

// readRoute judges what was saved as it judges what an agent asks. io.EOF means
// that nothing was.
func readRoute(text []byte) (*egress.Route, error) {
	var ask supervise.Ask
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&ask); err != nil {
		return nil, err
	}
	r, err := ask.Route()
	return &r, err
}
