package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/planner/engine"
	"vmplan.dev/vmplan/state"
)

func (a *App) statePushCommand() *cobra.Command {
	lock := lockOptions{operation: "state push"}
	var force bool
	c := &cobra.Command{
		Use:   "push FILE",
		Short: "Replace the recorded state",
		Long: `Replaces the state with the one in FILE (- for standard input), such as the output of vmplan state pull or a backup. The current state is
kept as the backup. Without --force, vmplan refuses a state of another project, a state with a lower serial than the current one, and
any state while the current one cannot be read.`,
		Example: `  vmplan state push backup.json
  vmplan state push - < backup.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runStatePush(c.Context(), args[0], force, lock)
		},
	}
	c.Flags().BoolVar(&force, "force", false, "replace the current state in any case")
	lock.addTo(c.Flags())
	return c
}

func (a *App) runStatePush(ctx context.Context, path string, force bool, lock lockOptions) error {
	pushed, err := a.readPushed(path)
	if err != nil {
		return err
	}
	s, err := a.openAs(ctx, engine.OpenUnread, ".", projectOptions{}, lock, true)
	if err != nil {
		return err
	}
	defer s.Close()
	current, err := s.Backend().Read(ctx)
	if err == nil {
		err = mayPush(current, pushed)
	}
	if err != nil && !force {
		return fmt.Errorf("push: %w: use --force to do it all the same", err)
	}
	if current != nil && !neverWritten(current) {
		// Written once more, with what its journal adds, it makes a whole backup.
		if err := s.Backend().Write(ctx, current); err != nil {
			return fmt.Errorf("keep the state: %w", err)
		}
		pushed.Serial = max(pushed.Serial, current.Serial)
	}
	if err := s.Backend().Replace(ctx, pushed); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	a.printer().Note(fmt.Sprintf("Pushed %d objects, as serial %d.", len(pushed.Records), pushed.Serial))
	return nil
}

func (a *App) readPushed(path string) (*state.Snapshot, error) {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(a.Streams.In)
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	pushed, err := state.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("push %s: %w", path, err)
	}
	return pushed, nil
}

// mayPush refuses what would put back the clock, or mix up projects.
func mayPush(current, pushed *state.Snapshot) error {
	switch {
	case neverWritten(current):
		return nil
	case pushed.Lineage != current.Lineage:
		return fmt.Errorf("it is of project %s, and what is there is of project %s", pushed.Lineage, current.Lineage)
	case pushed.Serial < current.Serial:
		return fmt.Errorf("it has serial %d, and what is there has %d: something was applied since", pushed.Serial, current.Serial)
	case pushed.Serial == current.Serial && !sameState(current, pushed):
		return errors.New("it has the serial of what is there, and is not the same")
	}
	return nil
}

func sameState(a, b *state.Snapshot) bool {
	x, err1 := state.Encode(a)
	y, err2 := state.Encode(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}
