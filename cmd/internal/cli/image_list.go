package cli

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner/engine"
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
		Short:   "List images and their users, or the names of the catalogue",
		Long: `Lists the images on the hosts: the path of the base volume, its size, the locked version, whether the source has a newer one,
and which disks use it, directly or through other backing files. To list unused images and the cache, use vmplan image prune.

With --catalogue, lists the names that a source can have, such as debian:12: the built-in ones and those in the project's
*.vmcatalog.json files.`,
		Example: `  vmplan image list
  vmplan image list --catalogue`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.catalogue {
				return a.listCatalogue(o)
			}
			return a.runImageList(c.Context(), o)
		},
	}
	f := c.Flags()
	o.projectOptions.addTo(f)
	f.BoolVar(&o.catalogue, "catalogue", false, "list the names that a source can have")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func (a *App) runImageList(ctx context.Context, o imageListOptions) error {
	s, err := a.openWhole(ctx, o.projectOptions, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	list := s.ListImages(ctx)
	out := make([]view.Image, len(list))
	for i := range list {
		out[i] = listed(&list[i])
	}
	return a.printer().Images(out, o.json)
}

// listed is an image as it is listed.
func listed(i *engine.Image) view.Image {
	img := i.ImageUse.Image
	out := view.Image{
		Addr: img.Addr, Host: i.Host, Source: resource.Redact(img.Source), Volume: resource.VolumeID(img), Digest: img.Digest,
		Present: i.Live != nil, Wanted: i.Wanted, Users: append([]string{}, i.Users...), Newer: i.Newer,
	}
	if i.Live != nil {
		out.Path, out.Taken = i.Live.Path, i.Live.Taken
	}
	if i.Locked != nil {
		out.Locked, out.Revision = i.Locked.Digest, i.Locked.Revision
	}
	return out
}

// listCatalogue needs no state and no hosts, and the project's files only where they add names.
func (a *App) listCatalogue(o imageListOptions) error {
	s, err := a.parse(".", o.projectOptions)
	if err != nil {
		return err
	}
	if wrong := s.Files().BadCatalogue(); len(wrong) > 0 {
		a.printer().Diagnostics(wrong, s.Files().Files())
		return exitError{ExitError}
	}
	c := s.Files().Catalogue()
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
