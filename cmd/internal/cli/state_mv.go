package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/planner/engine"
)

func (a *App) stateMvCommand() *cobra.Command {
	lock := lockOptions{operation: "state mv"}
	c := &cobra.Command{
		Use:   "mv FROM TO",
		Short: "Record objects under another address",
		Long: `Records the objects at FROM under the address TO, with what they own, and writes the new address into the ownership marks of the live objects.
Nothing else changes. FROM can be an object, a block with all its instances, or a module.

Rename the block in the files to match. A moved block in the files does the same as part of a plan, for everybody who applies
them.`,
		Example: `  vmplan state mv vm.old vm.web
  vmplan state mv 'vm.node[0]' vm.first
  vmplan state mv module.a module.b`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return a.runStateMv(c.Context(), args, lock) },
	}
	lock.addTo(c.Flags())
	return c
}

func (a *App) runStateMv(ctx context.Context, args []string, lock lockOptions) error {
	addrs, err := parseAddrs("state mv", args)
	if err != nil {
		return err
	}
	s, err := a.openRecorded(ctx, ".", projectOptions{}, lock)
	if err != nil {
		return err
	}
	defer s.Close()
	moved, err := s.Move(ctx, engine.Renaming{From: addrs[0], To: addrs[1]})
	for _, mv := range moved {
		a.printer().Note(fmt.Sprintf("Moved %s to %s.", mv.From, mv.To))
	}
	return err
}
