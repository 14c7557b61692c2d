// Package cli is the command line: one file per command, each an options struct, a cobra command and a function that does
// it. It puts the other packages together and decides exit codes.
//
// It must not know a concrete driver, image source or state backend: App brings them in.
package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/planner/engine"
)

// The exit codes, as every command's help lists them.
const (
	ExitDone        = 0
	ExitError       = 1
	ExitChanges     = 2
	ExitRefused     = 3
	ExitInterrupted = 130
)

// App is what the command line works with. main fills it in.
type App struct {
	Version string
	engine.Parts
	Absent  map[string]string // why a build lacks the driver for a scheme
	Streams view.Streams
	Environ []string

	trust    trustOptions
	warnings warnings
	speaker  speaker
}

// speaker says what cannot wait: beside a progress display if there is one.
type speaker struct {
	mu     sync.Mutex
	notice func(text string) // nil: nothing is displayed
}

func (s *speaker) through(notice func(string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notice = notice
}

// Interrupted says that the first signal has come. It may be called at any time.
func (a *App) Interrupted() {
	a.speaker.mu.Lock()
	defer a.speaker.mu.Unlock()
	if a.speaker.notice != nil {
		a.speaker.notice("Interrupted: what runs is let finish. Once more to stop at once.")
		return
	}
	fmt.Fprintln(a.Streams.Err, "\nInterrupted.")
}

// globalOptions are the flags that every command takes.
type globalOptions struct {
	chdir   string
	noColor bool
	debug   bool
}

// exitError ends the process with a code; what there was to say has been said.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// Run executes args and gives the exit code.
func (a *App) Run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.Streams.In)
	root.SetOut(a.Streams.Out)
	root.SetErr(a.Streams.Err)
	err := root.ExecuteContext(ctx)
	a.warnings.show(a.printer())
	var exit exitError
	var mistakes *engine.Mistakes
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &mistakes):
		a.printer().Diagnostics(mistakes.Diagnostics, mistakes.Files.Files())
		if mistakes.Because != "" {
			a.printer().Error(errors.New(mistakes.Because))
		}
		return ExitError
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return ExitInterrupted // who interrupted it knows why
	}
	a.printer().Error(a.advised(err))
	return ExitError
}

func (a *App) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "vmplan",
		Short: "Plan and apply changes to virtual machines",
		Long: `Declare virtual machines, images, volumes, networks and pools in HCL files. vmplan shows what would change on each host, and
what each change means for the running guest: live, next-boot, restart, replace or destroy. Then it makes the change.`,
		Example: `  vmplan init lab
  vmplan plan --chdir lab
  vmplan apply --chdir lab
  vmplan ssh vm.web --chdir lab`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cobra.EnableCommandSorting = false // they are in the order in which people come by them
	root.Version = a.Version
	root.SetVersionTemplate(a.versionText())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return advise(err, meantFlag(c, err.Error())+"What there is: "+c.CommandPath()+" --help")
	})
	var g globalOptions
	root.PersistentFlags().StringVar(&g.chdir, "chdir", "", "work in `DIR` instead of the current folder")
	root.PersistentFlags().BoolVar(&g.noColor, "no-color", false, "disable colours")
	root.PersistentFlags().BoolVar(&g.debug, "debug", false, "log operations on hosts to standard error")
	a.trust.addTo(root.PersistentFlags())
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := a.trust.fromEnvironment(a.Environ); err != nil {
			return err
		}
		a.Streams.JSON = printsJSON(c)
		return errors.Join(a.trust.check(c), a.begin(g))
	}
	root.AddGroup(
		&cobra.Group{ID: "main", Title: "Main commands:"},
		&cobra.Group{ID: "look", Title: "Inspection:"},
		&cobra.Group{ID: "guest", Title: "Guests:"},
		&cobra.Group{ID: "images", Title: "Images:"},
		&cobra.Group{ID: "copy", Title: "Copies:"},
		&cobra.Group{ID: "state", Title: "State:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("main", a.initCommand(), a.fmtCommand(), a.validateCommand(), a.planCommand(), a.applyCommand(), a.destroyCommand())
	add("look", a.showCommand(), a.listCommand(), a.outputCommand(), a.explainCommand(), a.renderCommand(), a.graphCommand())
	add("guest", a.powerCommands()...)
	add("guest", a.sshCommand(), a.consoleCommand())
	add("copy", a.cloneCommand(), a.snapshotCommand(), a.flattenCommand(), a.exportCommand(), a.importOVACommand())
	add("state", a.stateCommand(), a.orphansCommand(), a.importCommand())
	add("images", a.imageCommand(), a.applianceCommand())
	root.AddCommand(a.versionCommand())
	if w := a.Streams.Width; w > 0 {
		root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", w)))
	}
	describe(root, a.printer())
	return root
}

// printsJSON tells whether the command was asked for JSON.
func printsJSON(c *cobra.Command) bool {
	asJSON, _ := c.Flags().GetBool("json")
	format, _ := c.Flags().GetString("format")
	return asJSON || format == "json"
}

// begin carries out the global flags before any command.
func (a *App) begin(g globalOptions) error {
	if g.chdir != "" {
		if err := os.Chdir(g.chdir); err != nil {
			return fmt.Errorf("--chdir: %w", err)
		}
	}
	if g.noColor {
		a.Streams.Color = false
	}
	slog.SetDefault(slog.New(&a.warnings))
	if g.debug {
		slog.SetDefault(slog.New(slog.NewTextHandler(a.Streams.Err, &slog.HandlerOptions{Level: slog.LevelDebug})))
	}
	return nil
}

func (a *App) printer() *view.Printer { return view.New(a.Streams) }

// advised is an error with a sentence on what to do about it, which is printed below it.
type advised struct {
	error
	advice string
}

func advise(err error, advice string) error { return advised{err, advice} }

func (a advised) Error() string { return a.error.Error() + "\n" + a.advice }
func (a advised) Unwrap() error { return a.error }
