package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/state"
)

func (a *App) statePullCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "pull",
		Short:   "Print the state",
		Long:    `Prints the state, including the entries of the journal, in the format that vmplan state push reads.`,
		Example: `  vmplan state pull > backup.json`,
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.runStatePull(c.Context()) },
	}
}

func (a *App) runStatePull(ctx context.Context) error {
	s, err := a.openRecorded(ctx, ".", projectOptions{}, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	if neverWritten(s.State()) {
		return errors.New("there is no state yet")
	}
	data, err := state.Encode(s.State())
	if err != nil {
		return err
	}
	_, err = a.Streams.Out.Write(data)
	return err
}

// neverWritten tells whether s stands for a state that there is none of.
func neverWritten(s *state.Snapshot) bool { return s.Serial == 0 && len(s.Records) == 0 }
