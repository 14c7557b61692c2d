package engine

import (
	"context"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
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
