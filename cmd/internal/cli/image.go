package cli

import (
	"github.com/spf13/cobra"
)

// imageCommand holds the commands about images.
func (a *App) imageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "List, get, share, update and prune images",
	}
	c.AddCommand(a.imageListCommand(), a.imagePullCommand(), a.imagePushCommand(), a.imageUpdateCommand(), a.imagePruneCommand())
	return c
}
