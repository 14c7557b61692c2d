package engine

import (
	"context"

	"golang.org/x/sync/errgroup"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// ImageUpdate is what became of the pin of an image.
type ImageUpdate struct {
	Was, Is string // digests; Was is empty when the image was not locked
}

// UpdateImage gets the newest version of the image's source and locks the image to it, in memory: WriteLock writes the lock file. Transfer
// events tell how it goes. Hosts are not touched. Connect must have been called.
func (p *Project) UpdateImage(ctx context.Context, img *resource.Image) (ImageUpdate, error) {
	what := img.Addr.String()
	pin, err := p.images.Latest(ctx, img, func(progress drivers.Progress) { p.tell(Transfer{What: what, Progress: progress}) })
	p.tell(Transfer{What: what, Done: true})
	if err != nil {
		return ImageUpdate{}, err
	}
	lock := p.files.Lock()
	was, ok := lock.Of(img)
	if imported := p.Imported(img); !ok && imported != nil {
		was, ok = *imported, true
	}
	if ok {
		pin.Revision = was.Revision
		if was.Digest != pin.Digest {
			pin.Revision++
		}
	}
	lock.Set(img, pin)
	return ImageUpdate{Was: was.Digest, Is: pin.Digest}, nil
}

// Image is a recorded image, what uses it, and what its lock and its source say.
type Image struct {
	planner.ImageUse
	Locked *resource.Pin // the version that the lock holds the wanted image to; nil: none
	Newer  *bool         // whether the source has another version; nil: not known
}

// ListImages lists the recorded images, in order of address. It asks the sources of locked ones. Hosts must have been observed whole.
func (p *Project) ListImages(ctx context.Context) []Image {
	uses := planner.ImageUses(p.seen)
	out := make([]Image, len(uses))
	var group errgroup.Group
	group.SetLimit(asking)
	for i := range uses {
		out[i].ImageUse = uses[i]
		group.Go(func() error {
			p.askNewer(ctx, &out[i])
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	return out
}

// askNewer fills in what lock and source say.
func (p *Project) askNewer(ctx context.Context, i *Image) {
	pin, ok := p.files.Lock().Of(i.ImageUse.Image)
	if !ok || !i.Wanted {
		return
	}
	i.Locked = &pin
	locked := *i.ImageUse.Image
	locked.Pin = &pin
	if newer, err := p.images.Newer(ctx, &locked); err == nil {
		i.Newer = &newer
	}
}
