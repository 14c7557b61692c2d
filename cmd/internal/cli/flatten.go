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
		Short: "Make disks independent of their backing files",
		Long: `Copies into the disks at ADDR everything that they share with an image or another volume, so that they no longer have a backing
file. The guest may keep running. ADDR is a volume, a disk, or a vm with all its disks.

Flattening is recorded: the next plan is empty, a new image no longer affects these disks, and the old backing file can be deleted
once nothing else uses it. The disks need more space afterwards. Disks with snapshots are refused.`,
		Example: `  vmplan flatten vm.web
  vmplan flatten volume.data`,
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
