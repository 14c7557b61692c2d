package engine

import (
	"fmt"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/state"
)

// Pin locks what was imported and is in no lock yet, which moves nothing; and lets the cache know what is needed of it. Apply does
// it.
func (p *Project) Pin() error {
	p.NoteNeeds()
	if p.seen.Destroy || p.config == nil {
		return nil
	}
	for img := range resource.Of[*resource.Image](p.config.Set) {
		if _, ok := p.files.Lock().Of(img); ok || !p.files.Lock().Holds(img) {
			continue
		}
		if pin := p.Imported(img); pin != nil {
			p.files.Lock().Set(img, *pin)
		}
	}
	return p.WriteLock()
}

// Imported gives the version of the image's source that was imported; nil where none is recorded.
func (p *Project) Imported(img *resource.Image) *resource.Pin {
	rec := p.state.Records[img.Addr]
	if rec == nil || rec.Status != state.StatusReady {
		return nil
	}
	was, ok := rec.Object.(*resource.Image)
	if !ok || was.Source != img.Source {
		return nil
	}
	return was.Pin
}

// WriteLock writes the lock file of images if it is not as it should be, and tells so.
func (p *Project) WriteLock() error {
	changed, err := p.files.Lock().Write()
	if err != nil {
		return fmt.Errorf("write %s: %w", config.LockName, err)
	}
	if changed {
		p.tell(LockWritten{Name: config.LockName})
	}
	return nil
}

// NoteNeeds tells the cache which bits the project's images are, so that it is not cleared of them.
func (p *Project) NoteNeeds() {
	var digests []string
	for _, rec := range p.state.Records {
		if img, ok := rec.Object.(*resource.Image); ok && rec.Status == state.StatusReady && img.Digest != "" {
			digests = append(digests, img.Digest)
		}
	}
	for img := range resource.Of[*resource.Image](p.config.Set) {
		if digest, ok := p.images.Locked(img); ok {
			digests = append(digests, digest)
		}
	}
	if err := p.images.Need(p.state.Lineage, p.dir, digests); err != nil {
		p.opts.Log.Warn("what the project needs of the image cache could not be noted; "+config.LockName+" is not concerned", "error", err)
	}
}
