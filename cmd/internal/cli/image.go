package cli

import (
	"github.com/spf13/cobra"
)

// imageCommand holds the commands about images.
func (a *App) imageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "List, pull, push, update and prune images",
		Long: `Lists the project's images and who uses them, moves them to newer versions, and deletes images that are no longer used. Pushes disks to OCI
registries and pulls them from there.`,
		Example: `  vmplan image list
  vmplan image update image.debian`,
	}
	c.AddCommand(a.imageListCommand(), a.imagePullCommand(), a.imagePushCommand(), a.imageUpdateCommand(), a.imagePruneCommand())
	return c
}
