package cli

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/cmd/internal/view"
)

type imageListOptions struct {
	projectOptions
	catalogue bool
	json      bool
}

func (a *App) imageListCommand() *cobra.Command {
	var o imageListOptions
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the images, or the names that sources can be",
		Long: `With --catalogue lists the names that can stand for a source, such as debian:12: those that come with vmplan, and those of
the project's own *.vmcatalog.json files.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runImageList(c.Context(), o) },
	}
	f := c.Flags()
	o.projectOptions.addTo(f)
	f.BoolVar(&o.catalogue, "catalogue", false, "list the names that sources can be")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func (a *App) runImageList(_ context.Context, o imageListOptions) error {
	return a.listCatalogue(o)
}

// listCatalogue needs no state and no hosts, and the project's files only where they add names.
func (a *App) listCatalogue(o imageListOptions) error {
	s, err := a.parse(".", o.projectOptions)
	if err != nil {
		return err
	}
	if wrong := s.project.BadCatalogue(); len(wrong) > 0 {
		a.printer().Diagnostics(wrong, s.project.Files())
		return exitError{ExitError}
	}
	c := s.project.Catalogue()
	var names []view.ImageName
	for _, name := range c.Names() {
		img, ok := c.Image(name)
		if !ok {
			continue // an alias
		}
		names = append(names, view.ImageName{
			Name: name, Aliases: slices.Sorted(slices.Values(img.Aliases)), Title: img.Title,
			Archs: slices.Sorted(maps.Keys(img.Builds)),
		})
	}
	return a.printer().ImageNames(names, o.json)
}
