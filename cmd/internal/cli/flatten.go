package cli

import (
	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner/engine"
)

func (a *App) flattenCommand() *cobra.Command {
	o := asideOptions{lock: lockOptions{operation: "flatten"}}
	c := &cobra.Command{
		Use:   "flatten ADDR",
		Short: "Cut a volume, or the disks of a vm, loose from what they stand on",
		Long: `Takes into the disks at ADDR all that they have of an image or of another volume, so that they stand on nothing: while the
guest runs, too. That is recorded: the plan stays empty, a new image no longer concerns these disks, and what they stood on may go when nobody
else needs it. It takes room for what was shared before. A disk with snapshots in it is refused, for they stand on the same base.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runAside(c.Context(), args[0], o, func(s *session, addr resource.Addr) (*engine.Plan, error) {
				return s.Flatten(c.Context(), addr)
			})
		},
	}
	o.addTo(c.Flags())
	return c
}
