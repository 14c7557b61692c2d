package cli

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/planner"
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
		Short:   "List the images and who uses them, or the names for sources",
		Long: `Lists the images that are on the hosts: where their bases are, how much room they take, to which version they are locked and
whether their source has a newer one, and what stands on them, through any number of backing files. Of images without a user
and of what the cache holds, vmplan image prune tells.

With --catalogue lists the names that can stand for a source, such as debian:12: those that come with vmplan, and those of
the project's own *.vmcatalog.json files.`,
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
	f.BoolVar(&o.catalogue, "catalogue", false, "list the names that sources can be")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return c
}

func (a *App) runImageList(ctx context.Context, o imageListOptions) error {
	s, in, err := a.openWhole(ctx, o.projectOptions, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	uses := planner.ImageUses(in)
	out := make([]view.Image, len(uses))
	var group errgroup.Group
	group.SetLimit(engine.Asking)
	for i := range uses {
		group.Go(func() error {
			out[i] = s.listed(ctx, &uses[i])
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	return a.printer().Images(out, o.json)
}

// listed is an image as it is listed.
func (s *session) listed(ctx context.Context, u *planner.ImageUse) view.Image {
	img := u.Image
	out := view.Image{
		Addr: img.Addr, Host: u.Host, Source: resource.Redact(img.Source), Volume: resource.VolumeID(img), Digest: img.Digest,
		Present: u.Live != nil, Wanted: u.Wanted, Users: append([]string{}, u.Users...),
	}
	if u.Live != nil {
		out.Path, out.Taken = u.Live.Path, u.Live.Taken
	}
	if pin, ok := s.Files().Lock().Of(img); ok && u.Wanted {
		out.Locked, out.Revision = pin.Digest, pin.Revision
		locked := *img
		locked.Pin = &pin
		if newer, err := s.Images().Newer(ctx, &locked); err == nil {
			out.Newer = &newer
		}
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
