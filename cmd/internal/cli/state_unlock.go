package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/planner/engine"
	"vmplan.dev/vmplan/state"
)

func (a *App) stateUnlockCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unlock [ID]",
		Short: "Remove the lock of a dead run",
		Long: `Removes the lock of a run that no longer exists; with an ID, only that lock. You rarely need it: the next run takes over the lock of a dead
process by itself. The lock of a live run is never removed, because two runs at once would damage the state. Stop that run with Ctrl-C, which lets
it finish its current steps, or wait for it with --lock-timeout.`,
		Example: `  vmplan state unlock`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runStateUnlock(c.Context(), append(args, "")[0])
		},
	}
}

func (a *App) runStateUnlock(ctx context.Context, id string) error {
	s, err := a.openAs(ctx, engine.OpenUnread, ".", projectOptions{}, lockOptions{}, true)
	if err != nil {
		return err
	}
	holder, err := s.Backend().Break(ctx, id)
	var locked *state.LockedError
	switch {
	case errors.As(err, &locked) && id != "" && id != locked.Holder.ID:
		return fmt.Errorf("the lock is not %s but %s: %w", id, locked.Holder.ID, err)
	case errors.As(err, &locked):
		return fmt.Errorf("%w (lock %s), and that run is alive: end it, or wait for it with --lock-timeout", err, locked.Holder.ID)
	case err != nil:
		return err
	case holder == nil:
		a.printer().Note("The state is not locked.")
	case holder.ID == "":
		a.printer().Note("Removed a lock that names no holder.")
	default:
		a.printer().Note(fmt.Sprintf("Removed the lock of %s (pid %d, %s) of %s.", holder.Who, holder.PID, holder.Operation,
			holder.Since.Format(time.RFC3339)))
	}
	return nil
}
