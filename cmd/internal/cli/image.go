package cli

import (
	"github.com/spf13/cobra"
)

// imageCommand holds the commands about images.
func (a *App) imageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "Look at images, get and share them, and move them to newer versions",
	}
	c.AddCommand(a.imageListCommand(), a.imagePullCommand(), a.imagePushCommand(), a.imageUpdateCommand(), a.imagePruneCommand())
	return c
}
