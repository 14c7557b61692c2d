package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/apply"
	"vmplan.dev/vmplan/planner/engine"
)

type applyOptions struct {
	planOptions
	autoApprove bool
	parallelism int
	json        bool
}

func (o *applyOptions) addTo(f *pflag.FlagSet) {
	o.planOptions.addTo(f)
	f.BoolVar(&o.autoApprove, "auto-approve", false, "do not ask")
	f.IntVar(&o.parallelism, "parallelism", apply.DefaultParallelism, "run at most this many `STEPS` at once")
	f.BoolVar(&o.json, "json", false, "print the plan and progress as JSON, one object per line (needs --auto-approve or a plan file)")
}

func (a *App) applyCommand() *cobra.Command {
	var o applyOptions
	c := &cobra.Command{
		Use:   "apply [PLANFILE | DIR]",
		Short: "Change the hosts to match the files",
		Long: `Makes a plan, shows it, asks for approval, and carries it out. With a PLANFILE from "vmplan plan --out", apply carries out exactly
that plan without asking. It refuses if anything the plan depends on has changed since.

If a run fails or is interrupted, run apply again to finish it.`,
		Example: `  vmplan apply
  vmplan apply --auto-approve --max-impact live
  vmplan apply review.vmplan
  vmplan apply --replace vm.web`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.lock.operation = "apply"
			if len(args) == 1 {
				if _, err := os.Stat(args[0]); err != nil {
					return fmt.Errorf("%s is neither a plan file nor a folder: %w", args[0], err)
				}
				if isFile(args[0]) {
					return a.runApplyFile(c.Context(), args[0], o)
				}
			}
			return a.runApply(c.Context(), dirArg(args), o)
		},
	}
	o.addTo(c.Flags())
	c.Flags().StringArrayVar(&o.replace, "replace", nil, "delete `ADDR` and create it again (may be repeated)")
	c.Flags().BoolVar(&o.destroy, "destroy", false, "delete everything, as destroy does")
	c.Flags().BoolVar(&o.restart, "restart-pending", false, "restart guests that have a pending restart")
	o.limit.addTo(c.Flags())
	return c
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func (a *App) destroyCommand() *cobra.Command {
	var o applyOptions
	var cascade string
	c := &cobra.Command{
		Use:   "destroy [ADDR…]",
		Short: "Delete what the project created",
		Long: `Deletes everything that vmplan created for this project, or only the given objects and everything that depends on them. Guests are shut
down gracefully first. With --cascade=false, guests keep running and keep their disks; vmplan only stops managing them.`,
		Example: `  vmplan destroy
  vmplan destroy vm.web
  vmplan destroy vm.web --cascade=false`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if _, err := parseAddrs("ADDR", args); err != nil {
				return err
			}
			o.lock.operation, o.destroy, o.targets = "destroy", true, append(o.targets, args...)
			if o.orphan, err = parseCascade(cascade); err != nil {
				return err
			}
			return a.runApply(c.Context(), ".", o)
		},
	}
	o.addTo(c.Flags())
	c.Flags().StringVar(&cascade, "cascade", "true", "`HOW` is true: delete what a vm owns with it; false or orphan: leave vms running and stop managing them")
	return c
}

func parseCascade(text string) (orphan bool, err error) {
	switch text {
	case "true":
		return false, nil
	case "false", "orphan":
		return true, nil
	}
	return false, fmt.Errorf("--cascade=%s: write true, false or orphan", text)
}

// check refuses flags that cannot be meant. planned tells that there is a plan file.
func (o *applyOptions) check(planned bool) error {
	if o.json && !o.autoApprove && !planned {
		return errors.New("--json cannot ask: add --auto-approve, or apply a plan file")
	}
	if o.parallelism < 1 {
		return fmt.Errorf("--parallelism %d: at least 1", o.parallelism)
	}
	if planned && (len(o.targets)+len(o.exclude)+len(o.replace) > 0 || o.destroy || o.restart) {
		return errors.New("a plan file is carried out as it is: give --target, --exclude, --replace, --destroy and --restart-pending to vmplan plan --out")
	}
	return nil
}

// runApply plans, asks and carries out.
func (a *App) runApply(ctx context.Context, dir string, o applyOptions) error {
	if err := o.check(false); err != nil {
		return err
	}
	s, p, err := a.plan(ctx, dir, o.planOptions)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := a.showPlan(s, p, applyFormat(o), o.full); err != nil {
		return err
	}
	if p.Refused() {
		return exitError{ExitError}
	}
	if err := a.checkLimit(p.Plan, p.Options.Limit); err != nil {
		return err
	}
	if p.Empty() {
		return errors.Join(s.Pin(), s.showOutputs(o))
	}
	if !o.autoApprove {
		if err := a.approve(ctx, !o.destroy); err != nil {
			return err
		}
	}
	return s.carryOut(ctx, p, o)
}

func applyFormat(o applyOptions) string {
	if o.json {
		return "json"
	}
	return "text"
}

// runApplyFile carries out a saved plan, if all that it touches is as it was.
func (a *App) runApplyFile(ctx context.Context, path string, o applyOptions) error {
	if err := o.check(true); err != nil {
		return err
	}
	limit, err := o.limit.parse()
	if err != nil {
		return err
	}
	saved, err := loadPlan(path)
	if err != nil {
		return err
	}
	for name, value := range saved.Inputs.Vars {
		o.vars = append([]string{name + "=" + value}, o.vars...)
	}
	o.varFiles = append(saved.Inputs.VarFiles, o.varFiles...)
	open := a.open
	if saved.Options.Destroy {
		open = a.openRecorded
	}
	s, err := open(ctx, plannedDir(saved), o.projectOptions, o.lock)
	if err != nil {
		return err
	}
	defer s.Close()
	p, err := s.planAgain(ctx, saved)
	if err != nil {
		return err
	}
	for _, l := range []*planner.Limit{limit, p.Options.Limit} {
		if err := a.checkLimit(p.Plan, l); err != nil {
			return err
		}
	}
	if p.Empty() {
		return s.showOutputs(o)
	}
	return s.carryOut(ctx, p, o)
}

// plannedDir is the folder to carry a saved plan out in: the current one if it is a project, which may be another checkout of the
// same, else the one that the plan was made in.
func plannedDir(p *planner.Plan) string {
	here, err := filepath.Glob("*.hcl")
	if err == nil && len(here) == 0 && p.Inputs.Dir != "" {
		return p.Inputs.Dir
	}
	return "."
}

func loadPlan(path string) (*planner.Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := planner.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("plan file %s: %w", path, err)
	}
	return p, nil
}

// planAgain makes the saved plan once more, and says what differs if it is not the same.
func (s *session) planAgain(ctx context.Context, saved *planner.Plan) (*engine.Plan, error) {
	again, err := s.PlanAgain(ctx, saved)
	var stale *engine.Stale
	switch {
	case !errors.As(err, &stale):
		return again, err
	case len(stale.Moved) > 0:
		s.app.printer().Refusal("The plan is out of date: make a new one with vmplan plan", stale.Moved)
	default:
		s.app.printer().Refusal("The plan is out of date, or its file was edited: make a new one with vmplan plan", stale.Edited)
	}
	return nil, exitError{ExitError}
}

// approve asks on the terminal. Anything but yes is a no. savable: the plan can also be saved, and then be applied without asking.
func (a *App) approve(ctx context.Context, savable bool) error {
	pr := a.printer()
	switch {
	case !a.Streams.Interactive && !savable:
		return errors.New("there is no terminal to ask on: add --auto-approve")
	case !a.Streams.Interactive:
		return errors.New("there is no terminal to ask on: add --auto-approve, or save the plan with plan --out and apply the file")
	}
	pr.Prompt("Carry this out? Only \"yes\" will do: ")
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(a.Streams.In).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			line = ""
		}
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case text := <-answer:
		if text == "yes" {
			pr.Note("")
			return nil
		}
	}
	pr.Note("Nothing was changed.")
	return exitError{ExitError}
}

// carryOut applies the plan and prints the outputs.
func (s *session) carryOut(ctx context.Context, p *engine.Plan, o applyOptions) error {
	if err := s.execute(ctx, p, o.parallelism, o.json); err != nil {
		return err
	}
	return s.showOutputs(o)
}

// execute applies the plan and shows how its steps go.
func (s *session) execute(ctx context.Context, p *engine.Plan, parallelism int, asJSON bool) error {
	progress := s.app.printer().Progress(p.Plan, asJSON)
	s.app.speaker.through(progress.Notice)
	s.steps = progress.Event
	summary, err := s.Apply(ctx, p, engine.ApplyOptions{Parallelism: parallelism})
	s.steps = nil
	s.app.speaker.through(nil)
	progress.Close(summary)
	for _, say := range s.later {
		say()
	}
	s.later = nil
	var broken *engine.Broken
	switch {
	case errors.As(err, &broken):
		s.app.printer().Refusal("Applied, but the hosts are not what was promised", broken.Residue)
		return exitError{ExitError}
	case err != nil:
		return err
	case ctx.Err() != nil:
		return exitError{ExitInterrupted}
	case !summary.OK():
		return exitError{ExitError}
	}
	return nil
}

// showOutputs ends an apply with the outputs; a destroy has none.
func (s *session) showOutputs(o applyOptions) error {
	if o.destroy || s.Seen().Destroy {
		return nil
	}
	outputs, err := s.outputs()
	if err != nil || len(outputs) == 0 {
		return err
	}
	return s.app.printer().ResultingOutputs(outputs, o.json)
}
