package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// stateCommand groups the commands that work on the recorded state.
func (a *App) stateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "state",
		Short: "Inspect and change the recorded state",
		Long:  `Inspects and changes the recorded state. The objects on the hosts do not change, except for the ownership mark of renamed objects.`,
		Example: `  vmplan state list
  vmplan state show vm.web
  vmplan state mv vm.old vm.web`,
	}
	c.AddCommand(a.stateListCommand(), a.stateShowCommand(), a.stateMvCommand(), a.stateRmCommand(), a.statePullCommand(), a.statePushCommand(),
		a.stateUnlockCommand(), a.stateRebuildCommand())
	return c
}

func (a *App) stateListCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [ADDR…]",
		Short: "List the recorded objects",
		Long:  `Lists the addresses of all recorded objects, or of the given ones and what they own.`,
		Example: `  vmplan state list
  vmplan state list vm.web`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withRecords(c.Context(), lockOptions{}, args, func(_ *session, recs []*state.Record) error {
				return a.printer().Records(recs, asJSON)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *App) stateShowCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show ADDR…",
		Short: "Show what is recorded about objects",
		Long:  `Shows the recorded attributes of the given objects.`,
		Example: `  vmplan state show vm.web
  vmplan state show vm.web --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withRecords(c.Context(), lockOptions{}, args, func(_ *session, recs []*state.Record) error {
				return a.printer().RecordDetails(recs, asJSON)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *App) stateRmCommand() *cobra.Command {
	lock := lockOptions{operation: "state rm"}
	c := &cobra.Command{
		Use:   "rm ADDR…",
		Short: "Remove objects from the state without deleting them",
		Long: `Removes the given objects, and what they own, from the state. They stay on their hosts unchanged, but vmplan no longer knows that it created
them. If the block of an object is still in the files, the next plan adopts it again: to give an
object up for good, remove its block, or use a removed block.`,
		Example: `  vmplan state rm vm.web`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withRecords(c.Context(), lock, args, func(s *session, recs []*state.Record) error {
				for _, rec := range recs {
					delete(s.State().Records, rec.Object.Base().Addr)
				}
				if err := s.Backend().Write(c.Context(), s.State()); err != nil {
					return fmt.Errorf("write state: %w", err)
				}
				for _, rec := range recs {
					a.printer().Note(fmt.Sprintf("Forgot %s.", rec.Object.Base().Addr))
				}
				return nil
			})
		},
	}
	lock.addTo(c.Flags())
	return c
}

// withRecords opens the state and hands over the records that the addresses select, all without any. An address that
// selects nothing is an error.
func (a *App) withRecords(ctx context.Context, lock lockOptions, args []string, do func(*session, []*state.Record) error) error {
	sel, err := parseAddrs("ADDR", args)
	if err != nil {
		return err
	}
	s, err := a.openRecorded(ctx, ".", projectOptions{}, lock)
	if err != nil {
		return err
	}
	defer s.Close()
	var recs []*state.Record
	used := make([]bool, len(sel))
	for _, rec := range s.State().Sorted() {
		if selects(sel, rec.Object.Base().Addr, used) {
			recs = append(recs, rec)
		}
	}
	for i, ok := range used {
		if !ok {
			return fmt.Errorf("%s is not in the state: see vmplan state list", sel[i])
		}
	}
	return do(s, recs)
}

// selects tells whether one of sel contains addr, and notes which did. No selection selects everything.
func selects(sel []resource.Addr, addr resource.Addr, used []bool) bool {
	hit := len(sel) == 0
	for i, a := range sel {
		if a.Contains(addr) {
			hit, used[i] = true, true
		}
	}
	return hit
}
