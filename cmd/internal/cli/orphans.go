package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
)

type orphansOptions struct {
	projectOptions
	lock        lockOptions
	adopt       bool
	remove      bool
	autoApprove bool
	json        bool
}

func (a *App) orphansCommand() *cobra.Command {
	var o orphansOptions
	c := &cobra.Command{
		Use:   "orphans [ADDR…]",
		Short: "List this project's live objects that are not in its state",
		Long: `Lists the vms and networks on the project's hosts that carry this project's ownership mark but are not in its state: leftovers of an
interrupted run or a lost state, released objects, and copies made by hand.

--adopt records those that have a block in the files. --delete asks and deletes them: a guest is shut down gracefully, and its disks
are deleted if they have the file name of one of its own disks and nothing else uses them. Released objects are deleted only if
you name them.`,
		Example: `  vmplan orphans
  vmplan orphans --adopt
  vmplan orphans vm.old --delete`,
		RunE: func(c *cobra.Command, args []string) error { return a.runOrphans(c.Context(), args, o) },
	}
	f := c.Flags()
	o.projectOptions.addTo(f)
	o.lock.addTo(f)
	f.BoolVar(&o.adopt, "adopt", false, "record those that have a block in the files")
	f.BoolVar(&o.remove, "delete", false, "delete them, after asking")
	f.BoolVar(&o.autoApprove, "auto-approve", false, "with --delete: do not ask")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func (a *App) runOrphans(ctx context.Context, args []string, o orphansOptions) error {
	switch {
	case o.adopt && o.remove:
		return errors.New("--adopt and --delete exclude each other")
	case o.json && (o.adopt || o.remove):
		return errors.New("--json lists; it goes with neither --adopt nor --delete")
	case o.adopt || o.remove:
		o.lock.operation = "orphans"
	}
	sel, err := parseAddrs("ADDR", args)
	if err != nil {
		return err
	}
	s, err := a.openWhole(ctx, o.projectOptions, o.lock)
	if err != nil {
		return err
	}
	defer s.Close()
	orphans, err := selectOrphans(s.Orphans(), sel, o.remove)
	if err != nil {
		return err
	}
	if err := a.printer().Orphans(orphans, o.json); err != nil || len(orphans) == 0 {
		return err
	}
	switch {
	case o.adopt:
		return s.adoptOrphans(ctx, orphans)
	case o.remove:
		return s.deleteOrphans(ctx, orphans, o.autoApprove)
	}
	return nil
}

// selectOrphans gives those that the addresses name, all without any; named leaves out what was released if it is not named.
func selectOrphans(all []planner.Orphan, sel []resource.Addr, named bool) ([]planner.Orphan, error) {
	var out []planner.Orphan
	used := make([]bool, len(sel))
	for _, o := range all {
		if selects(sel, o.Addr, used) && (len(sel) > 0 || !named || !o.Released) {
			out = append(out, o)
		}
	}
	for i, ok := range used {
		if !ok {
			return nil, fmt.Errorf("%s is no orphan: see vmplan orphans", sel[i])
		}
	}
	return out, nil
}

// adoptOrphans records what the files have a block for, with what it owns, as state rebuild does.
func (s *session) adoptOrphans(ctx context.Context, orphans []planner.Orphan) error {
	adopted, err := s.AdoptOrphans(ctx, orphans)
	if err != nil {
		return err
	}
	if len(adopted) == 0 {
		s.app.printer().Note("Nothing was recorded: write the blocks of those to keep, and remove them from the hosts with --delete otherwise.")
	}
	for _, addr := range adopted {
		s.app.printer().Note(fmt.Sprintf("Recorded %s.", addr))
	}
	return nil
}

func (s *session) deleteOrphans(ctx context.Context, orphans []planner.Orphan, autoApprove bool) error {
	p := s.DeleteOrphans(orphans)
	if !autoApprove {
		if err := s.app.approve(ctx, false); err != nil {
			return err
		}
	}
	return s.runSteps(ctx, p)
}
