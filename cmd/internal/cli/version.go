package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/spf13/cobra"
)

func (a *App) versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schemes := slices.Sorted(maps.Keys(a.Drivers))
			if asJSON {
				return json.NewEncoder(a.Streams.Out).Encode(map[string]any{
					"version": a.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "schemes": schemes,
				})
			}
			_, err := fmt.Fprintf(a.Streams.Out, "vmplan %s (%s, %s/%s)\nhost schemes: %v\n", a.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, schemes)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
