package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// schemes are those of the URIs of hosts that this build can work with.
func (a *App) schemes() []string { return slices.Sorted(maps.Keys(a.Drivers)) }

func (a *App) versionText() string {
	return fmt.Sprintf("vmplan %s (%s, %s/%s)\nhost schemes: %s\n", a.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, strings.Join(a.schemes(), ", "))
}

func (a *App) versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  `Prints the version of vmplan and the schemes of host URIs that this build supports.`,
		Example: `  vmplan version
  vmplan version --json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return json.NewEncoder(a.Streams.Out).Encode(map[string]any{
					"version": a.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "schemes": a.schemes(),
				})
			}
			_, err := fmt.Fprint(a.Streams.Out, a.versionText())
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
