package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/engine"
)

type planCommandOptions struct {
	planOptions
	out              string
	format           string
	json             bool
	detailedExitCode bool
}

func (a *App) planCommand() *cobra.Command {
	var o planCommandOptions
	c := &cobra.Command{
		Use:   "plan [DIR]",
		Short: "Show what apply would do",
		Long: `Compares the files with the recorded state and the hosts, and shows what apply would do: per object and field, and what it means for a
running guest. New objects are shown without default values; --json shows everything. Nothing is changed.`,
		Example: `  vmplan plan
  vmplan plan --out review.vmplan --format markdown
  vmplan plan --detailed-exitcode --max-impact live
  vmplan plan --target vm.web`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runPlan(c.Context(), dirArg(args), o, applyCommandLine(args, c.Flags()))
		},
	}
	f := c.Flags()
	o.planOptions.addTo(f)
	f.StringArrayVar(&o.replace, "replace", nil, "delete `ADDR` and create it again (may be repeated)")
	f.BoolVar(&o.destroy, "destroy", false, "plan the deletion of everything")
	f.StringVar(&o.out, "out", "", "save the plan to `FILE` for apply")
	f.StringVar(&o.format, "format", "text", "print the plan as `FORMAT`: text, json or markdown")
	f.BoolVar(&o.json, "json", false, "the same as --format json")
	f.BoolVar(&o.detailedExitCode, "detailed-exitcode", false, "exit with code 2 if there are changes")
	o.limit.addTo(f)
	return c
}

func dirArg(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

func (a *App) runPlan(ctx context.Context, dir string, o planCommandOptions, apply string) error {
	if o.json {
		o.format = "json"
	}
	o.lock.operation = "plan"
	s, p, err := a.plan(ctx, dir, o.planOptions)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := a.showPlan(s, p, o.format, o.full); err != nil {
		return err
	}
	if p.Refused() {
		return exitError{ExitError}
	}
	if err := a.checkLimit(p.Plan, p.Options.Limit); err != nil {
		return err
	}
	if o.out != "" {
		if err := savePlan(o.out, p.Plan, s, o.planOptions); err != nil {
			return err
		}
		a.printer().Aside(fmt.Sprintf("Saved the plan. To carry out exactly this: vmplan apply %s", o.out))
	}
	if o.format == "text" && o.out == "" && !p.Empty() {
		a.printer().Note("To carry this out: " + apply)
	}
	if o.detailedExitCode && !p.Empty() {
		return exitError{ExitChanges}
	}
	return nil
}

func (a *App) showPlan(s *session, p *engine.Plan, format string, full bool) error {
	v := a.printer().Plan(p.Plan, s.Config().Sources, view.NewDownloads(p.Downloads.Bytes, p.Downloads.Unknown))
	v.Full = full
	switch format {
	case "text":
		return v.Text()
	case "json":
		return v.JSON()
	case "markdown":
		return v.Markdown()
	}
	return fmt.Errorf("--format %s: write text, json or markdown", format)
}

func savePlan(path string, p *planner.Plan, s *session, o planOptions) error {
	p.Inputs = planner.Inputs{Dir: s.Dir(), Vars: map[string]string{}}
	for _, file := range o.varFiles {
		if abs, err := filepath.Abs(file); err == nil {
			file = abs
		}
		p.Inputs.VarFiles = append(p.Inputs.VarFiles, file)
	}
	for name, value := range s.vars {
		switch {
		case s.Files().Sensitive(name):
		case s.Hides(value):
			s.app.printer().Aside(fmt.Sprintf("The plan is without the value of var.%[1]s, which is in the hidden part of an image's URL: give it to apply again, with --var %[1]s=…", name))
		default:
			p.Inputs.Vars[name] = value
		}
	}
	if err := atomicfile.WriteFrom(path, 0o600, func(f *os.File) error { return planner.Encode(f, p) }); err != nil {
		return fmt.Errorf("save the plan: %w", err)
	}
	return nil
}
