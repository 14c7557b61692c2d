package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/cmd/internal/view"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
	"vmplan.dev/vmplan/planner/engine"
)

type imagePruneOptions struct {
	projectOptions
	lock      lockOptions
	remove    bool
	cache     bool
	olderThan time.Duration
	json      bool
}

func (a *App) imagePruneCommand() *cobra.Command {
	o := imagePruneOptions{}
	c := &cobra.Command{
		Use:   "prune",
		Short: "Delete unused base volumes and cached images",
		Long: `Lists what can be deleted. With --delete, deletes it:

- base volumes of this project that are no longer in the files, for example because of on_image_change = "ignore", once no disk uses
  them, including disks that vmplan does not manage;
- cached images that no project on this machine has on a host. They can be downloaded again. Files in use by a running vmplan are
  kept; incomplete downloads of killed processes are removed.

Volumes that are not recorded in this project's state are never deleted.`,
		Example: `  vmplan image prune
  vmplan image prune --delete
  vmplan image prune --cache --older-than 720h --delete`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runImagePrune(c.Context(), o) },
	}
	f := c.Flags()
	o.projectOptions.addTo(f)
	o.lock.addTo(f)
	f.BoolVar(&o.remove, "delete", false, "delete what is listed")
	f.BoolVar(&o.cache, "cache", false, "look only at the cache; needs no project")
	f.DurationVar(&o.olderThan, "older-than", 0, "only cached files downloaded longer ago than `TIME`, such as 720h")
	f.BoolVar(&o.json, "json", false, "print JSON; not with --delete")
	return c
}

func (a *App) runImagePrune(ctx context.Context, o imagePruneOptions) error {
	if o.json && o.remove {
		return errors.New("--json lists; it does not go with --delete")
	}
	if o.cache {
		images, err := a.Images(engine.ImageSettings{Dir: "."})
		if err != nil {
			return err
		}
		return a.prune(ctx, nil, images, o)
	}
	if o.remove {
		o.lock.operation = "image prune"
	}
	s, err := a.openWhole(ctx, o.projectOptions, o.lock)
	if err != nil {
		return err
	}
	defer s.Close()
	s.NoteNeeds()
	return a.prune(ctx, s, s.Images(), o)
}

// prune deletes or lists; without a session only what the cache holds.
func (a *App) prune(ctx context.Context, s *session, images engine.ImageStore, o imagePruneOptions) error {
	var list []view.Prunable
	var plan *engine.Plan
	if s != nil {
		var uses []planner.ImageUse
		plan, uses = s.PruneImages()
		for i := range uses {
			if u := &uses[i]; u.Unused() {
				list = append(list, view.Prunable{What: u.Image.Addr.String(), Where: "host." + u.Host + " " + resource.VolumeID(u.Image), Size: int64(u.Live.Taken), Source: resource.Redact(u.Image.Source)})
			}
		}
	}
	cached, err := unneeded(images, o.olderThan)
	if err != nil {
		return err
	}
	for _, c := range cached {
		list = append(list, view.CachedPrunable(c))
	}
	if err := a.printer().Prunables(list, o.remove, o.json); err != nil || !o.remove {
		return err
	}
	if err := a.clear(images, cached); err != nil {
		return err
	}
	if plan == nil || plan.Empty() {
		return nil
	}
	return s.runSteps(ctx, plan)
}

// clear removes bits from the cache, and what lies there for nobody.
func (a *App) clear(images engine.ImageStore, unneeded []drivers.CachedBits) error {
	for _, c := range unneeded {
		err := images.Drop(c.Digest)
		switch {
		case errors.Is(err, drivers.ErrInUse):
			a.printer().Note(err.Error() + "; it stays")
		case err != nil:
			return err
		}
	}
	return images.Sweep()
}

// unneeded gives what the cache holds and no project of this machine has on a host.
func unneeded(images engine.ImageStore, olderThan time.Duration) ([]drivers.CachedBits, error) {
	all, err := images.Cached()
	if err != nil {
		return nil, err
	}
	var out []drivers.CachedBits
	for _, c := range all {
		if len(c.NeededBy) == 0 && time.Since(c.Since) >= olderThan {
			out = append(out, c)
		}
	}
	return out, nil
}
