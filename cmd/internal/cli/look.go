package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/state"
)

// listCommand lists the project's vms.
func (a *App) listCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the vms with their power state and addresses",
		Long:    `Lists the recorded vms with the power state and addresses that their hosts report now.`,
		Example: `  vmplan list
  vmplan list --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, objects, err := a.look(c.Context(), nil)
			if err != nil {
				return err
			}
			defer s.Close()
			objects = slices.DeleteFunc(objects, func(o view.Object) bool { return o.Record.Status == state.StatusReleased })
			return a.printer().VMs(objects, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// showCommand shows objects, recorded and live.
func (a *App) showCommand() *cobra.Command {
	var asJSON, full bool
	c := &cobra.Command{
		Use:   "show [ADDR | PLANFILE]",
		Short: "Show recorded and live objects, or a saved plan",
		Long: `Without an argument, shows all recorded objects and what the hosts report about them now. With ADDR, shows one of them. With
PLANFILE, shows the saved plan.`,
		Example: `  vmplan show
  vmplan show vm.web
  vmplan show review.vmplan`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 && isFile(args[0]) {
				return a.showPlanFile(args[0], asJSON, full)
			}
			sel, err := parseAddrs("ADDR", args)
			if err != nil {
				return err
			}
			s, objects, err := a.look(c.Context(), sel)
			if err != nil {
				return err
			}
			defer s.Close()
			return a.printer().Objects(objects, asJSON)
		},
	}
	c.Flags().BoolVar(&full, "full", false, "of a plan: show each instance of a block, also those to which the same happens")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *App) showPlanFile(path string, asJSON, full bool) error {
	p, err := loadPlan(path)
	if err != nil {
		return err
	}
	v := a.printer().Plan(p, nil, view.Downloads{})
	v.Full = full
	if asJSON {
		return v.JSON()
	}
	if err := v.Text(); err != nil || p.Empty() || p.Refused() {
		return err
	}
	a.printer().Note("To carry this out: vmplan apply " + shellQuote(path))
	return nil
}

// look reads the state and the hosts, and gives what is recorded beside what is live. The files are not needed: what was
// applied can be looked at while they are being edited.
func (a *App) look(ctx context.Context, sel []resource.Addr) (*session, []view.Object, error) {
	s, err := a.openRecorded(ctx, ".", projectOptions{}, lockOptions{})
	if err != nil {
		return nil, nil, err
	}
	objects, err := s.look(ctx, sel)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, objects, nil
}

func (s *session) look(ctx context.Context, sel []resource.Addr) ([]view.Object, error) {
	if _, err := s.Survey(ctx, planner.Options{}); err != nil {
		return nil, err
	}
	var out []view.Object
	for _, rec := range s.State().Sorted() {
		addr := rec.Object.Base().Addr
		if len(sel) > 0 && !slices.ContainsFunc(sel, func(a resource.Addr) bool { return a.Contains(addr) }) {
			continue
		}
		live := s.Live(rec.Object)
		out = append(out, view.Object{Record: rec, Live: live})
	}
	if len(sel) > 0 && len(out) == 0 {
		return nil, fmt.Errorf("%s is not in the state: see vmplan state list", sel[0])
	}
	return out, nil
}
