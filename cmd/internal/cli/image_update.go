package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
)

type imageUpdateOptions struct {
	projectOptions
	lock lockOptions
}

func (a *App) imageUpdateCommand() *cobra.Command {
	o := imageUpdateOptions{lock: lockOptions{operation: "image update"}}
	c := &cobra.Command{
		Use:   "update [ADDR…]",
		Short: "Lock images to the newest version of their source",
		Long: `Downloads what the sources of the given images, or of all images, have now, and records it in ` + config.LockName + `. Hosts are
not changed: the next plan shows what the new version means. Images with a checksum in their block, and files on this machine, are not
locked.`,
		Example: `  vmplan image update
  vmplan image update image.debian`,
		RunE: func(c *cobra.Command, args []string) error { return a.runImageUpdate(c.Context(), args, o) },
	}
	o.projectOptions.addTo(c.Flags())
	o.lock.addTo(c.Flags())
	return c
}

func (a *App) runImageUpdate(ctx context.Context, args []string, o imageUpdateOptions) error {
	sel, err := parseAddrs("ADDR", args)
	if err != nil {
		return err
	}
	s, err := a.openLoaded(ctx, o.projectOptions, o.lock)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Connect(); err != nil {
		return err
	}
	images, err := s.updatable(sel)
	if err != nil {
		return err
	}
	if len(images) == 0 {
		a.printer().Note("Nothing to update: no image of the files is one that " + config.LockName + " holds. Files of this machine are not in it, nor images whose block says their checksum.")
		return nil
	}
	moved := 0
	for _, img := range images {
		update, err := s.UpdateImage(ctx, img)
		if err != nil {
			return errors.Join(err, s.WriteLock())
		}
		switch {
		case update.Was == "":
			a.printer().Note(fmt.Sprintf("%s: locked to %s", img.Addr, update.Is))
		case update.Was == update.Is:
			a.printer().Note(fmt.Sprintf("%s: is at the newest version", img.Addr))
		default:
			moved++
			a.printer().Note(fmt.Sprintf("%s: %s → %s", img.Addr, update.Was, update.Is))
		}
	}
	if err := s.WriteLock(); err != nil || moved == 0 {
		return err
	}
	a.printer().Note("What follows from it: vmplan plan")
	return nil
}

// updatable gives the images that the addresses name, each source once: all that can be locked without any.
func (s *session) updatable(sel []resource.Addr) ([]*resource.Image, error) {
	var out []*resource.Image
	seen, used := map[string]bool{}, make([]bool, len(sel))
	for img := range resource.Of[*resource.Image](s.Config().Set) {
		if !selects(sel, img.Addr, used) {
			continue
		}
		if !s.Files().Lock().Holds(img) {
			if len(sel) > 0 {
				return nil, fmt.Errorf("%s cannot be updated: it is a file of this machine, or its block says its checksum, or it is not managed", img.Addr)
			}
			continue
		}
		if !seen[img.Source] {
			seen[img.Source] = true
			out = append(out, img)
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		return nil, fmt.Errorf("there is no %s in the files%s", sel[i], knownImages(s.Config().Set))
	}
	return out, nil
}
