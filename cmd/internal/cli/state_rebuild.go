package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner/engine"
)

type rebuildOptions struct {
	projectOptions
	lock    lockOptions
	lineage string
	dryRun  bool
}

func (a *App) stateRebuildCommand() *cobra.Command {
	var o rebuildOptions
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "Rebuild a lost state from what is on the hosts",
		Long: `Vms and networks carry an ownership mark that names their project and address. Rebuild records those of this project, even if they are no
longer in the files, with the disks that the vms own; the volumes, images and pools in the files that they use; and the images in
the files that no other project has under that name. It gives the reason for each, and lists what it leaves out; adopt that with an
import block. No host is changed.

A state that has records is never replaced: move it away first.`,
		Example: `  vmplan state rebuild --dry-run
  vmplan state rebuild`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runStateRebuild(c.Context(), o) },
	}
	o.projectOptions.addTo(c.Flags())
	o.lock.addTo(c.Flags())
	c.Flags().StringVar(&o.lineage, "lineage", "", "rebuild the state of the project with this `ID` (default from .vmplan, or from the marks on the hosts)")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "only show what would be recorded")
	return c
}

func (a *App) runStateRebuild(ctx context.Context, o rebuildOptions) error {
	o.lock.operation = "state rebuild"
	s, err := a.openAs(ctx, engine.OpenUnread, ".", o.projectOptions, o.lock, false)
	if err != nil {
		return err
	}
	defer s.Close()
	current, err := s.Backend().Read(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("read state: %w: move it away to make it anew", err)
	case len(current.Records) > 0:
		return fmt.Errorf("there is a state, with %d objects: move it away to make it anew", len(current.Records))
	}
	rebuilt, err := s.Rebuild(ctx, o.lineage, current)
	var ambiguous *engine.Ambiguous
	if errors.As(err, &ambiguous) {
		a.printer().Refusal("It cannot be told which project's state is lost: say which with --lineage. On the hosts there are objects of", ambiguous.Projects)
		return exitError{ExitError}
	}
	if err != nil {
		return err
	}
	if err := a.printer().Rebuilt(rebuilt, s.State().Lineage, o.dryRun); err != nil || o.dryRun {
		return err
	}
	if err := s.PutRebuilt(ctx, current, rebuilt); err != nil {
		return err
	}
	hosts := 0
	for _, rec := range rebuilt.Records {
		if rec.Object.Kind() == resource.KindHost {
			hosts++
		}
	}
	a.printer().Note(fmt.Sprintf("Recorded %d objects on %d hosts. What is left to do: vmplan plan", len(rebuilt.Records)-hosts, hosts))
	return nil
}
