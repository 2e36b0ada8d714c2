package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/state"
)

type transcriptsCmd struct {
	List transcriptsListCmd `cmd:"" default:"withargs" help:"Those that are kept, the oldest first."`
	Show transcriptsShowCmd `cmd:"" help:"What one holds, as text."`
}

type transcriptsListCmd struct {
	Agent string `arg:"" optional:"" help:"Only those of this agent or bottle."`
	JSON  bool   `help:"Print as JSON."`
}

type transcriptsShowCmd struct {
	Name string `arg:"" help:"The transcript, as bb transcripts names it."`
}

// kept is one line of transcripts.
type kept struct {
	Name   string    `json:"name"`
	Bottle string    `json:"bottle"`
	Scope  string    `json:"scope"`
	Time   time.Time `json:"time"`
	Size   int64     `json:"size"`
	Path   string    `json:"path"`
}

// Run lists what is kept of bottles that stopped or went.
func (c *transcriptsListCmd) Run(_ context.Context, a *app) error {
	all, err := a.transcripts()
	if err != nil {
		return err
	}
	list := []kept{}
	for _, t := range all {
		bottle, scope := t.Bottle()
		if c.Agent == "" || c.Agent == bottle || c.Agent == agentOf(bottle) {
			list = append(list, kept{t.Name, bottle, scope, t.Time, t.Size, t.Path})
		}
	}
	if c.JSON {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(a.stdout, "No transcripts.")
		return err
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(tw, "BOTTLE\tKEPT\tSIZE\tNAME")
	for _, k := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", view.Escape(k.Bottle), k.Time.Local().Format("2006-01-02 15:04"), view.Size(k.Size), view.Escape(k.Name))
	}
	return tw.Flush()
}

// Run prints the files of one, each below its name. Nothing is unpacked.
func (c *transcriptsShowCmd) Run(_ context.Context, a *app) error {
	all, err := a.transcripts()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(t state.Transcript) bool {
		return t.Name == c.Name || strings.TrimSuffix(t.Name, ".tar.gz") == c.Name
	})
	if i < 0 {
		return diag.Errorf("no transcript %q", c.Name).WithHint("bb transcripts lists those that are kept")
	}
	out := bufio.NewWriter(a.stdout)
	err = all[i].Files(func(name string, r io.Reader) error {
		if _, err := fmt.Fprintf(out, "==> %s <==\n", view.Escape(name)); err != nil {
			return err
		}
		return escaped(out, r)
	})
	return errors.Join(err, out.Flush())
}

// transcripts are all of this home; the state is only read.
func (a *app) transcripts() ([]state.Transcript, error) {
	if err := a.homeExists(); err != nil {
		return nil, err
	}
	st, err := state.Read(a.g.Home)
	if err != nil {
		return nil, err
	}
	return st.Transcripts()
}

// escaped copies text of others: lines stay lines, and nothing in them drives a
// terminal or breaks their JSON. A long line never is in memory as a whole.
func escaped(w io.Writer, r io.Reader) error {
	text, last := bufio.NewReaderSize(r, 64<<10), '\n'
	for {
		c, _, err := text.ReadRune()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		shown := string(c)
		if c != '\n' {
			shown = view.EscapeJSON(shown)
		}
		if _, err := io.WriteString(w, shown); err != nil {
			return err
		}
		last = c
	}
	if last == '\n' {
		return nil
	}
	_, err := io.WriteString(w, "\n")
	return err
}
