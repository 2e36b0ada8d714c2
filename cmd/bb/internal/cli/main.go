// Package cli is bb's command line: the grammar, one file per command, exit
// codes and signals. It is the only place that wires drivers.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/bot-bottle/bb/backends/docker"
	"github.com/bot-bottle/bb/cmd/bb/internal/view"
	"github.com/bot-bottle/bb/engine/diag"
	"github.com/bot-bottle/bb/engine/host"
)

// Version is set by the linker.
var Version = "0.1.0-dev"

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitChanges     = 2
	exitUsage       = 80 // what kong says of its own
	exitInterrupted = 130
)

// exitError ends the command with a code and, if text is not empty, a message.
type exitError struct {
	code int
	text string
}

func (e exitError) Error() string { return e.text }

// programEnd is the exit code of a program in a bottle, which is bb's too.
type programEnd struct{ exitError }

func (e programEnd) Unwrap() error { return e.exitError }

// grammar is the whole command line.
type grammar struct {
	Home          string `help:"Directory of manifests and state (~/.bot-bottle)." env:"BB_HOME" placeholder:"DIR"`
	Backend       string `help:"Run bottles on this backend (docker)." env:"BB_BACKEND" placeholder:"NAME"`
	Color         string `help:"Colours: auto, always or never." enum:"auto,always,never" default:"auto"`
	Verbose       bool   `short:"v" help:"Show the output of image builds."`
	SidecarBinary string `help:"Static linux bb that goes into bottles; found by itself beside bb." env:"BB_SIDECAR_BINARY" placeholder:"FILE"`
	BuildCA       string `help:"PEM roots to trust while images are built (company proxies)." env:"BB_BUILD_CA" placeholder:"FILE"`
	Workspace     string `help:"Directory that the named agent works on, where its bottle has a workspace (plan, apply, run, start, dashboard)." placeholder:"DIR"`
	Ended         string `hidden:"" help:"File for the exit code of a bottle's program."`
	BaseImage     string `help:"Base of the images that bb builds." env:"BB_BASE_IMAGE" default:"${base_image}" placeholder:"IMAGE"`

	Plan        planCmd        `cmd:"" help:"Show what apply would do. Changes nothing."`
	Apply       applyCmd       `cmd:"" help:"Make bottles match their manifests."`
	Destroy     destroyCmd     `cmd:"" help:"Remove bottles of this home directory, and of the repository around you."`
	Cleanup     cleanupCmd     `cmd:"" help:"Remove what bb made and nothing uses any more."`
	Run         runCmd         `cmd:"" help:"Bring an agent up and give it one prompt, without a terminal."`
	Start       startCmd       `cmd:"" help:"Bring up a bottle of its own, attach to it, and remove it at the end."`
	Stop        stopCmd        `cmd:"" help:"Stop bottles and keep them."`
	Commit      commitCmd      `cmd:"" help:"Freeze a bottle into an image."`
	Attach      attachCmd      `cmd:"" help:"Put an agent's program in the foreground of this terminal."`
	Exec        execCmd        `cmd:"" help:"Run a command in a bottle."`
	Cp          cpCmd          `cmd:"" help:"Copy files into a bottle or out of it."`
	Ps          psCmd          `cmd:"" help:"List what runs."`
	Dashboard   dashboardCmd   `cmd:"" help:"Show all bottles on one screen, and what they ask for."`
	Supervise   superviseCmd   `cmd:"" help:"Answer what agents ask for."`
	Audit       auditCmd       `cmd:"" help:"Who decided what about an agent."`
	Logs        logsCmd        `cmd:"" help:"Show a bottle's output and its sidecar's."`
	Transcripts transcriptsCmd `cmd:"" help:"What was said in bottles that stopped or went."`
	Git         gitCmd         `cmd:"" help:"What agents pushed."`
	Validate    validateCmd    `cmd:"" help:"Compile the manifests and report every mistake. Needs no engine."`
	List        listCmd        `cmd:"" help:"List agents and bottles, broken ones too."`
	Init        initCmd        `cmd:"" help:"Write starter manifests; overwrites nothing."`
	Edit        editCmd        `cmd:"" help:"Open a manifest in your editor and validate it."`
	Info        infoCmd        `cmd:"" help:"Show what is in force for an agent, and which line decided it."`
	Explain     explainCmd     `cmd:"" help:"Say which rule lets a request of an agent out or blocks it, and what to add."`
	Allow       allowCmd       `cmd:"" help:"Approve an agent of a repository, after reading it."`
	Schema      schemaCmd      `cmd:"" help:"Print the schema of manifests, as CUE or for editors."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
	Doctor      doctorCmd      `cmd:"" help:"Examine what bb needs: home, manifests, engine. Changes nothing."`

	Sidecar sidecarCmd `cmd:"" hidden:"" help:"The sidecar process."`
	Door    doorCmd    `cmd:"" hidden:"" help:"The first process of a bottle."`
	Relay   relayCmd   `cmd:"" hidden:"" help:"The way to the ssh-agent."`
}

// Main runs one command and returns its exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var g grammar
	exited := -1
	parser, err := kong.New(&g,
		kong.Name("bb"),
		kong.Description("Runs coding agents in bottles: isolated machines whose powers are exactly what a manifest grants."),
		kong.Vars{"base_image": docker.DefaultBaseImage},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code; panic(exitError{code: code}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintf(stderr, "bb: %v\n", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err, early := parse(parser, args)
	if early {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "bb: %v\n", err)
		return exitCode(err, exitUsage)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	g.Home = cmp.Or(g.Home, "~/.bot-bottle") // also for an empty BB_HOME
	a := &app{g: &g, stdin: stdin, stdout: stdout, stderr: stderr, screen: view.NewScreen(stderr, width(stderr))}
	for _, path := range []*string{&g.Home, &g.SidecarBinary, &g.BuildCA, &g.Workspace} {
		if *path, err = host.Expand(*path); err != nil {
			return report(err, stderr)
		}
	}
	if first, _, _ := strings.Cut(kctx.Command(), " "); g.Workspace != "" && !slices.Contains(workspaceWords, first) {
		fmt.Fprintf(stderr, "bb: --workspace means nothing to bb %s (it is for %s)\n", first, strings.Join(workspaceWords, ", "))
		return exitUsage
	}
	if word := kctx.Command(); strings.HasPrefix(word, "door ") || strings.HasPrefix(word, "sidecar ") {
		return report(a.inside(ctx, word), stderr)
	}
	if strings.HasPrefix(kctx.Command(), "relay ") {
		return report(a.relay(ctx), stderr)
	}
	kctx.BindTo(ctx, (*context.Context)(nil))
	err = kctx.Run(a)
	if lost := noteEnd(g.Ended, err); lost != nil {
		err = lost
	}
	return report(err, stderr)
}

// parse turns kong's exit, which --help asks for, into a return.
func parse(p *kong.Kong, args []string) (k *kong.Context, err error, early bool) { //nolint:revive // err is not the last: early explains it
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exitError); !ok {
				panic(r)
			}
			early = true
		}
	}()
	k, err = p.Parse(args)
	return k, err, false
}

// noteEnd tells who asked that an exit code is that of a program in a bottle, and
// not bb's own.
func noteEnd(path string, err error) error {
	var end programEnd
	if path == "" || !errors.As(err, &end) {
		return nil
	}
	return os.WriteFile(path, fmt.Appendln(nil, end.code), 0o600)
}

func exitCode(err error, otherwise int) int {
	var coder kong.ExitCoder
	if errors.As(err, &coder) {
		return coder.ExitCode()
	}
	return otherwise
}

// report prints what went wrong, one line each, and picks the exit code.
func report(err error, stderr io.Writer) int {
	var exit exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		if exit.text != "" {
			fmt.Fprintf(stderr, "bb: %s\n", exit.text)
		}
		return exit.code
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "bb: interrupted")
		return exitInterrupted
	}
	printDiagnostics(stderr, flatten(err))
	return exitFailed
}

// flatten lists joined errors and diagnostics, each as one diagnostic.
func flatten(err error) diag.List {
	var list diag.List
	var joined interface{ Unwrap() []error }
	if several, ok := err.(interface{ Unwrap() []error }); ok { // a list may be one of them
		for _, e := range several.Unwrap() {
			list = append(list, flatten(e)...)
		}
		return list
	}
	switch {
	case errors.As(err, &list):
		return list
	case errors.As(err, &joined):
		for _, e := range joined.Unwrap() {
			list = append(list, flatten(e)...)
		}
		return list
	}
	d := diag.Errorf("%v", err)
	var bare diag.Diagnostic
	if errors.As(err, &bare) && bare.Error() == err.Error() {
		d = bare
	}
	return diag.List{d}
}

// place marks bb's own words, and escapes those of others line by line: an
// error may hold several, as the last of a build.
func place(file, text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = view.Escape(l)
	}
	text = strings.Join(lines, "\n")
	if file != "" {
		return text
	}
	return "bb: " + text
}
